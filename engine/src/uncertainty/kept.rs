//! Meshes, and what is known on them, as bytes to keep beside factors.
//!
//! Numbers as this machine writes them: the file says which machine that is (`factors/file.rs`).

use bytemuck::Pod;

use super::mesh::{Known, Mesh};
use super::tree::{Block, Cell, TileMesh};
use crate::factors::{Keep, Key};
use crate::grid::Grid;
use crate::network::Network;
use crate::tiles::Tiling;

/// Changes when meshes are made or kept otherwise.
const FORM: &[u8] = b"variances on a grid 1";

/// Everything that a mesh depends on.
pub(super) fn key(factor: Key, network: &Network, grid: &Grid) -> Key {
    let mut bytes = FORM.to_vec();
    put(&mut bytes, &[grid.x().len() as u64, grid.y().len() as u64]);
    put(&mut bytes, grid.x());
    put(&mut bytes, grid.y());
    // Where stations lie on the grid, whose axes may turn otherwise than the Earth.
    let places: Vec<[f64; 2]> = network.stations().iter().map(|s| [s.x, s.y]).collect();
    put(&mut bytes, &places);
    bytes.extend_from_slice(grid.crs().map_or("", |crs| crs.text()).as_bytes());
    factor.and(&bytes)
}

/// The same without some stations.
pub(super) fn key_without(mesh: Key, missing: &[usize]) -> Key {
    let mut bytes = b"without ".to_vec();
    put(&mut bytes, &missing.iter().map(|&i| i as u64).collect::<Vec<_>>());
    mesh.and(&bytes)
}

impl Keep for Mesh {
    fn bytes(&self) -> u64 {
        let of_tile = |tile: &TileMesh| {
            size_of_val(tile.nodes.as_slice()) + size_of_val(tile.blocks.as_slice())
        };
        self.tiles.iter().map(of_tile).sum::<usize>() as u64 + self.whole.bytes()
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let Tiling { rows, columns, tile_rows, tile_columns } = self.tiling;
        put(&mut bytes, &[rows, columns, tile_rows, tile_columns].map(|side| side as u64));
        put_known(&mut bytes, &self.whole);
        for tile in &self.tiles {
            put_all(&mut bytes, &tile.nodes.iter().map(|c| [c.0, c.1]).collect::<Vec<_>>());
            let sides = |b: &Block| [b.rows[0], b.rows[1], b.columns[0], b.columns[1]];
            put_all(&mut bytes, &tile.blocks.iter().map(sides).collect::<Vec<_>>());
            put(&mut bytes, &tile.blocks.iter().map(|b| b.at).collect::<Vec<_>>());
        }
        pad(bytes)
    }

    fn from_bytes(mut bytes: &[u8]) -> Option<Self> {
        let sides: [u64; 4] = take(&mut bytes, 4)?.try_into().ok()?;
        let side = |k: usize| usize::try_from(sides[k]).ok().filter(|side| *side > 0);
        let tiling = Tiling {
            rows: side(0)?,
            columns: side(1)?,
            tile_rows: side(2)?,
            tile_columns: side(3)?,
        };
        let whole = take_known(&mut bytes)?;
        let mut tiles = Vec::new();
        for k in 0..tiling.count() {
            let tile = take_tile(&mut bytes)?;
            let (rows, columns) = tiling.tile(k);
            let inside =
                |[first, last]: [u16; 2], side: usize| first <= last && usize::from(last) < side;
            let sound = |block: &Block| {
                inside(block.rows, rows.len())
                    && inside(block.columns, columns.len())
                    && block.at.iter().all(|at| (*at as usize) < tile.nodes.len())
            };
            let layers = 1 + whole.of_slopes.first()?.len().isqrt();
            let right = whole.nodes.get(k)?.len() == layers * tile.nodes.len();
            if !(right && tile.blocks.iter().all(sound)) {
                return None;
            }
            tiles.push(tile);
        }
        let mesh = Self::from_parts(tiling, tiles, whole);
        mesh.fits(&mesh.whole).then_some(mesh)
    }
}

impl Keep for Known {
    fn bytes(&self) -> u64 {
        self.bytes()
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        put_known(&mut bytes, self);
        pad(bytes)
    }

    fn from_bytes(mut bytes: &[u8]) -> Option<Self> {
        take_known(&mut bytes)
    }
}

fn put_known(bytes: &mut Vec<u8>, known: &Known) {
    put_all(bytes, &known.drawn);
    put(bytes, &[known.of_slopes.len() as u64]);
    known.of_slopes.iter().for_each(|matrix| put_all(bytes, matrix));
    put(bytes, &[known.nodes.len() as u64]);
    known.nodes.iter().for_each(|values| put_all(bytes, values));
}

fn take_known(bytes: &mut &[u8]) -> Option<Known> {
    let drawn = take_all(bytes)?;
    let networks = take::<u64>(bytes, 1)?[0];
    let of_slopes = (0..networks).map(|_| take_all(bytes)).collect::<Option<_>>()?;
    let tiles = take::<u64>(bytes, 1)?[0];
    let nodes = (0..tiles).map(|_| take_all(bytes)).collect::<Option<_>>()?;
    Some(Known { nodes, drawn, of_slopes })
}

fn take_tile(bytes: &mut &[u8]) -> Option<TileMesh> {
    let nodes: Vec<Cell> = take_all::<[u16; 2]>(bytes)?.into_iter().map(|[r, c]| (r, c)).collect();
    let sides: Vec<[u16; 4]> = take_all(bytes)?;
    let at: Vec<[u32; 9]> = take(bytes, sides.len())?;
    let block = |([top, bottom, left, right], at): ([u16; 4], [u32; 9])| Block {
        rows: [top, bottom],
        columns: [left, right],
        at,
    };
    Some(TileMesh { nodes, blocks: sides.into_iter().zip(at).map(block).collect() })
}

fn put<T: Pod>(bytes: &mut Vec<u8>, values: &[T]) {
    bytes.extend_from_slice(bytemuck::cast_slice(values));
}

/// With their number.
fn put_all<T: Pod>(bytes: &mut Vec<u8>, values: &[T]) {
    put(bytes, &[values.len() as u64]);
    put(bytes, values);
}

fn take<T: Pod>(bytes: &mut &[u8], count: usize) -> Option<Vec<T>> {
    let (these, rest) = bytes.split_at_checked(count.checked_mul(size_of::<T>())?)?;
    *bytes = rest;
    Some(these.chunks_exact(size_of::<T>()).map(bytemuck::pod_read_unaligned).collect())
}

fn take_all<T: Pod>(bytes: &mut &[u8]) -> Option<Vec<T>> {
    let count = take::<u64>(bytes, 1)?[0];
    take(bytes, usize::try_from(count).ok()?)
}

fn pad(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes
}
