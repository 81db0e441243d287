//! Settings of the service: what is wrong is told with file and line, and each with where it comes from.

use crate::harness::Bench;

#[test]
fn mistakes_of_a_file_are_told_with_their_lines_all_at_once() {
    let bench = Bench::new();
    let text =
        "# The service\nlisten = \"127.0.0.1:8080\"\nconcurency = 3\nqueue_length = \"many\"\n";
    let file = bench.file("wrong.toml", text);
    let place = |line: u32| format!("{file}:{line}:");
    let words = [place(3), place(4)];
    for arguments in [&["config", "check", &file][..], &["serve", "--config", &file]] {
        bench
            .run(arguments)
            .failed(2, &[&words[0], &words[1], "did you mean `concurrency`?", "\"many\""]);
    }
    let file = bench.file("no.toml", "listen = \n");
    bench.run(&["config", "check", &file]).failed(2, &[&format!("{file}:1:")]);
    bench.run(&["config", "check", "nowhere.toml"]).failed(2, &["nowhere.toml"]);
}

#[test]
fn a_contradiction_is_told_with_the_line_or_the_variable_that_makes_it() {
    let bench = Bench::new();
    let file = bench.file(
        "tls.toml",
        "listen = \"127.0.0.1:8080\"\n\ntls_key = \"key.pem\"\nconcurrency = 0\n",
    );
    bench.run(&["config", "check", &file]).failed(2, &[&format!("{file}:4: setting concurrency")]);
    let text = "listen = \"127.0.0.1:8080\"\n[grids]\nctm = \"a.nc:x\"\ndem = \"no variable\"\n";
    let file = bench.file("grids.toml", text);
    bench.run(&["config", "check", &file]).failed(2, &[&format!("{file}:4: "), "dem"]);
    let mut command = bench.command(&["config", "check"]);
    command.env("ISOPLETH_SERVE_PUBLIC_URL", "nonsense");
    crate::harness::outcome(command.output())
        .failed(2, &["ISOPLETH_SERVE_PUBLIC_URL: setting public_url is nonsense"]);
}

#[test]
fn what_is_in_order_is_said_to_be_and_shown_with_where_it_comes_from() {
    let bench = Bench::new();
    let text = "concurrency = 3\nbootstrap_key = \"iso_boot_verysecretverysecret\"\n\n[grids]\nctm = \"a.nc:x\"\n";
    let file = bench.file("good.toml", text);
    let said = bench.run(&["config", "check", &file]).succeeded().stdout;
    assert!(said.starts_with(&format!("{file} is in order")), "{said}");
    assert!(said.contains("3 at once"), "{said}");
    let mut command = bench.command(&["config", "show", &file]);
    command.env("ISOPLETH_SERVE_QUEUE_LENGTH", "7");
    let shown = crate::harness::outcome(command.output()).succeeded().stdout;
    for line in [
        format!("concurrency = 3  # {file}:1"),
        format!("bootstrap_key = \"(hidden)\"  # {file}:2"),
        format!("ctm = \"a.nc:x\"  # {file}:5"),
        "queue_length = 7  # ISOPLETH_SERVE_QUEUE_LENGTH".to_owned(),
        "max_uri_bytes = 8192  # default".to_owned(),
        "# Not set: bootstrap_key_file,".to_owned(),
    ] {
        assert!(shown.contains(&line), "`{line}` is not in\n{shown}");
    }
    // What is shown can be used as a file, but for what is hidden.
    let again =
        bench.file("again.toml", shown.replace("(hidden)", "iso_boot_verysecretverysecret"));
    bench.run(&["config", "check", &again]).succeeded();
}

#[test]
fn what_schedules_name_must_be_there_and_their_documents_make_sense() {
    let bench = Bench::new();
    let text = "[sources.inbox]\nkind = \"post\"\n\n[schedules.air]\nsource = \"inbx\"\ncron = \"5 * * *\"\n\
                sinks = [\"archive\"]\n\n[schedules.air.map]\nbounds = [100, 30, 110, 38]\nshape = [50, 40]\n";
    let file = bench.file("schedules.toml", text);
    let said = bench.run(&["config", "check", &file]).failed(2, &[]).stderr;
    for words in [
        format!("{file}:5: there is no source `inbx`; there are: inbox"),
        format!("{file}:7: there is no sink `archive`; there are: none"),
        format!("{file}:6: "),
    ] {
        assert!(said.contains(&words), "`{words}` is not in\n{said}");
    }
}
