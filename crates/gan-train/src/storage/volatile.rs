//! An in-memory file system that forgets, at a power cut, what was not flushed.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::io::{self, Cursor, Read, Write};
use std::path::{Component, Path};
use std::sync::{Arc, Mutex, MutexGuard};

use gan_rng::Stream;

use super::{Entry, Files, Storage, StorageFile};

type NodeId = usize;

/// A change of a folder that has not been flushed.
#[derive(Debug, Clone)]
enum Change {
    Link(String, NodeId),
    Unlink(String),
    Rename { from: String, to: String, node: NodeId },
}

#[derive(Debug, Clone)]
enum Node {
    File { now: Vec<u8>, durable: Vec<u8> },
    Dir { now: BTreeMap<String, NodeId>, durable: BTreeMap<String, NodeId>, pending: Vec<Change> },
}

impl Node {
    fn dir() -> Self {
        Node::Dir { now: BTreeMap::new(), durable: BTreeMap::new(), pending: Vec::new() }
    }
}

/// The file system; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct VolatileStorage(Arc<Mutex<Vec<Node>>>);

impl VolatileStorage {
    /// An empty file system.
    pub(crate) fn new() -> Self {
        VolatileStorage(Arc::new(Mutex::new(vec![Node::dir()])))
    }

    fn nodes(&self) -> MutexGuard<'_, Vec<Node>> {
        self.0.lock().unwrap()
    }

    /// Cuts the power: what was flushed stays, of everything else a random part.
    pub(crate) fn power_cut(&self, random: &mut Stream) {
        for node in self.nodes().iter_mut() {
            match node {
                Node::File { now, durable } => {
                    if now != durable {
                        *now = torn(now, durable, random);
                        *durable = now.clone();
                    }
                }
                Node::Dir { now, durable, pending } => {
                    let order_kept = random.bool();
                    let kept = random.below(pending.len() as u64 + 1) as usize;
                    for (i, change) in pending.drain(..).enumerate() {
                        // Journaling file systems keep a prefix of the changes; others promise nothing.
                        if if order_kept { i < kept } else { random.bool() } {
                            apply(durable, change);
                        }
                    }
                    *now = durable.clone();
                }
            }
        }
    }

    /// The content of a file, for damaging it.
    pub(crate) fn content(&self, path: &Path) -> Vec<u8> {
        let nodes = self.nodes();
        match &nodes[find(&nodes, path).unwrap()] {
            Node::File { now, .. } => now.clone(),
            Node::Dir { .. } => panic!("{} is a folder", path.display()),
        }
    }

    /// Replaces the content of a file, or makes a new one.
    pub(crate) fn put(&self, path: &Path, content: Vec<u8>) {
        let mut file = self.create(path).unwrap();
        file.write_all(&content).unwrap();
    }
}

/// What a power cut leaves of a file whose last writes were not flushed.
fn torn(now: &[u8], durable: &[u8], random: &mut Stream) -> Vec<u8> {
    let cut = random.below(now.len() as u64 + 1) as usize;
    match random.below(4) {
        0 => durable.to_vec(),
        1 => now.to_vec(),
        2 => now[..cut].to_vec(),
        // Size recorded, blocks never written.
        _ => now[..cut].iter().copied().chain(std::iter::repeat_n(0, now.len() - cut)).collect(),
    }
}

fn apply(entries: &mut BTreeMap<String, NodeId>, change: Change) {
    match change {
        Change::Link(name, node) => {
            entries.insert(name, node);
        }
        Change::Unlink(name) => {
            entries.remove(&name);
        }
        Change::Rename { from, to, node } => {
            if entries.get(&from) == Some(&node) {
                entries.remove(&from);
            }
            entries.insert(to, node);
        }
    }
}

fn not_found() -> io::Error {
    io::ErrorKind::NotFound.into()
}

fn find(nodes: &[Node], path: &Path) -> io::Result<NodeId> {
    path.components().filter(|c| matches!(c, Component::Normal(_))).try_fold(0, |at, part| match &nodes[at] {
        Node::Dir { now, .. } => now.get(part.as_os_str().to_str().unwrap()).copied().ok_or_else(not_found),
        Node::File { .. } => Err(io::ErrorKind::NotADirectory.into()),
    })
}

/// The folder that holds `path`, and the last name of `path`.
fn split(nodes: &[Node], path: &Path) -> io::Result<(NodeId, String)> {
    let name = path.file_name().ok_or_else(not_found)?.to_str().unwrap().to_owned();
    Ok((find(nodes, path.parent().unwrap_or(Path::new("/")))?, name))
}

fn change(nodes: &mut [Node], dir: NodeId, change: Change) -> io::Result<()> {
    match &mut nodes[dir] {
        Node::Dir { now, pending, .. } => {
            apply(now, change.clone());
            pending.push(change);
            Ok(())
        }
        Node::File { .. } => Err(io::ErrorKind::NotADirectory.into()),
    }
}

struct VolatileFile {
    storage: VolatileStorage,
    node: NodeId,
}

impl Write for VolatileFile {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if let Node::File { now, .. } = &mut self.storage.nodes()[self.node] {
            now.extend_from_slice(buf);
        }
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl StorageFile for VolatileFile {
    fn sync(&mut self) -> io::Result<()> {
        if let Node::File { now, durable } = &mut self.storage.nodes()[self.node] {
            *durable = now.clone();
        }
        Ok(())
    }
}

impl Files for VolatileStorage {
    fn open(&self, file: &Path) -> io::Result<Box<dyn Read + Send>> {
        let nodes = self.nodes();
        match &nodes[find(&nodes, file)?] {
            Node::File { now, .. } => Ok(Box::new(Cursor::new(now.clone()))),
            Node::Dir { .. } => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        let nodes = self.nodes();
        let Node::Dir { now, .. } = &nodes[find(&nodes, dir)?] else {
            return Err(io::ErrorKind::NotADirectory.into());
        };
        let entry = |(name, &node): (&String, &NodeId)| match &nodes[node] {
            Node::File { now, .. } => Entry { name: name.clone(), is_dir: false, bytes: now.len() as u64 },
            Node::Dir { .. } => Entry { name: name.clone(), is_dir: true, bytes: 0 },
        };
        Ok(now.iter().map(entry).collect())
    }
}

impl Storage for VolatileStorage {
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        let mut nodes = self.nodes();
        let mut at = 0;
        for part in dir.components().filter(|c| matches!(c, Component::Normal(_))) {
            let name = part.as_os_str().to_str().unwrap();
            let Node::Dir { now, .. } = &nodes[at] else { return Err(io::ErrorKind::NotADirectory.into()) };
            at = match now.get(name) {
                Some(&node) => node,
                None => {
                    nodes.push(Node::dir());
                    let node = nodes.len() - 1;
                    change(&mut nodes, at, Change::Link(name.to_owned(), node))?;
                    node
                }
            };
        }
        Ok(())
    }

    fn create(&self, file: &Path) -> io::Result<Box<dyn StorageFile>> {
        let mut nodes = self.nodes();
        let node = match find(&nodes, file) {
            Ok(node) => {
                let Node::File { now, .. } = &mut nodes[node] else { return Err(io::ErrorKind::IsADirectory.into()) };
                now.clear();
                node
            }
            Err(_) => {
                let (dir, name) = split(&nodes, file)?;
                nodes.push(Node::File { now: Vec::new(), durable: Vec::new() });
                let node = nodes.len() - 1;
                change(&mut nodes, dir, Change::Link(name, node))?;
                node
            }
        };
        Ok(Box::new(VolatileFile { storage: self.clone(), node }))
    }

    fn append(&self, file: &Path, length: u64) -> io::Result<Box<dyn StorageFile>> {
        let length = length as usize;
        let found = find(&self.nodes(), file);
        let Ok(node) = found else {
            return if length == 0 { self.create(file) } else { Err(not_found()) };
        };
        match &mut self.nodes()[node] {
            Node::File { now, .. } if now.len() >= length => now.truncate(length),
            Node::File { .. } => return Err(io::ErrorKind::UnexpectedEof.into()),
            Node::Dir { .. } => return Err(io::ErrorKind::IsADirectory.into()),
        }
        Ok(Box::new(VolatileFile { storage: self.clone(), node }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut nodes = self.nodes();
        let node = find(&nodes, from)?;
        let (dir, from) = split(&nodes, from)?;
        if let Ok(target) = find(&nodes, to) {
            let free = match (&nodes[node], &nodes[target]) {
                (Node::File { .. }, Node::File { .. }) => true,
                (Node::Dir { .. }, Node::Dir { now, .. }) => now.is_empty(),
                _ => false,
            };
            if !free {
                return Err(io::ErrorKind::DirectoryNotEmpty.into());
            }
        }
        let (to_dir, to) = split(&nodes, to)?;
        if dir != to_dir {
            return Err(io::ErrorKind::CrossesDevices.into());
        }
        change(&mut nodes, dir, Change::Rename { from, to, node })
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut nodes = self.nodes();
        let node = find(&nodes, dir)?;
        match &mut nodes[node] {
            Node::Dir { now, durable, pending } => {
                *durable = now.clone();
                pending.clear();
                Ok(())
            }
            Node::File { .. } => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    fn remove_file(&self, file: &Path) -> io::Result<()> {
        let mut nodes = self.nodes();
        let (dir, name) = split(&nodes, file)?;
        match nodes[find(&nodes, file)?] {
            Node::File { .. } => change(&mut nodes, dir, Change::Unlink(name)),
            Node::Dir { .. } => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    fn remove_dir_all(&self, dir: &Path) -> io::Result<()> {
        // Children first and one by one, as the real one does: a power cut may leave a folder half empty.
        for entry in self.list(dir)? {
            let path = dir.join(&entry.name);
            if entry.is_dir { self.remove_dir_all(&path)? } else { self.remove_file(&path)? }
        }
        let mut nodes = self.nodes();
        let (parent, name) = split(&nodes, dir)?;
        change(&mut nodes, parent, Change::Unlink(name))
    }
}
