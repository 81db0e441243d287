//! Maps of every hour, over the router and with a clock of the test.

mod crashes;
mod documents;
mod folders;
mod hours;
mod house;
mod notices;
