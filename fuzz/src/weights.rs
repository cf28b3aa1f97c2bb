//! Weight files and manifests of checkpoints.

use std::collections::HashSet;
use std::path::{Component, Path};

use gan_translate::StyleClusters;
use gan_weights::checkpoint::{FORMAT, Manifest, read_tensors};
use gan_weights::safetensors::Contents;
use gan_weights::{first_non_finite, pth};

use super::scratch;

/// A `.pth` file, on the disk and in memory: what is read can be named, and is not more than the file warrants.
pub fn read_pth(file: &[u8]) {
    let (on_disk, in_memory) = (pth::read(scratch::file("weights", file)), pth::read_bytes(file));
    assert_eq!(on_disk.is_ok(), in_memory.is_ok());
    if let (Ok(on_disk), Ok(loaded)) = (on_disk, in_memory) {
        assert!(on_disk.state.names().eq(loaded.state.names()) && on_disk.notes == loaded.notes);
        let elements: usize = loaded.state.iter().map(|(_, tensor)| tensor.elem_count()).sum();
        assert!(elements <= 4 * file.len() + (4 << 20), "{elements} elements in {} bytes", file.len());
        let names: HashSet<&str> = loaded.state.names().collect();
        assert_eq!(names.len(), loaded.state.len());
    }
}

/// A safetensors file: as weights, as a file of a checkpoint, as clusters of styles, and as a download of which a part is kept.
pub fn read_safetensors(file: &[u8]) {
    let contents = Contents::parse(file);
    if let Ok(contents) = &contents {
        let bytes: usize = contents.names().filter_map(|name| contents.tensor(name).ok()).map(|t| bytes(&t)).sum();
        assert!(bytes <= file.len(), "{bytes} bytes of tensors in {}", file.len());
    }
    let path = scratch::empty("styles").join(StyleClusters::FILE);
    std::fs::write(&path, file).unwrap();
    if let Ok(state) = read_tensors(&path, file) {
        assert!(contents.is_ok() && state.iter().all(|(_, tensor)| matches!(first_non_finite(tensor), Ok(None))));
    }
    if let Ok(loaded) = gan_weights::read_any(&path) {
        assert!(loaded.state.iter().map(|(_, tensor)| bytes(tensor)).sum::<usize>() <= 4 * file.len() + (4 << 20));
    }
    if let Ok(Some(clusters)) = StyleClusters::load(path.parent().unwrap(), 2) {
        for label in clusters.labels() {
            let sound = |features: &Vec<f32>| features.len() == 2 && features.iter().all(|x| x.is_finite());
            assert!(!clusters.of_label(label).is_empty() && clusters.of_label(label).iter().all(sound));
        }
    }
    let kept = scratch::folder().join("kept");
    let _ = std::fs::remove_file(&kept);
    if gan_fetch::fuzzing::keep_tensors(&path, &kept, &["l".to_owned()]).is_ok() && contents.is_ok() {
        let kept = std::fs::read(kept).unwrap();
        let names: Vec<String> = Contents::parse(&kept).unwrap().names().map(str::to_owned).collect();
        assert!(names.iter().all(|name| name.starts_with('l')));
    }
}

fn bytes(tensor: &candle_core::Tensor) -> usize {
    tensor.elem_count() * tensor.dtype().size_in_bytes()
}

/// `manifest.json`, as it is and with the seal that it would have: what is taken names files of its own folder.
pub fn read_manifest(file: &[u8]) {
    let path = Path::new("manifest.json");
    if let Ok(manifest) = Manifest::decode(path, file) {
        check(&manifest);
    }
    if let Ok(mut manifest) = serde_json::from_slice::<Manifest>(file) {
        let sealed = manifest.encode().unwrap();
        match Manifest::decode(path, &sealed) {
            Ok(read) => {
                assert_eq!(read, manifest);
                check(&read);
            }
            Err(error) => assert!(!error.to_string().contains("seal does not match"), "{error}"),
        }
    }
}

fn check(manifest: &Manifest) {
    assert!((1..=FORMAT).contains(&manifest.format));
    let names: HashSet<&str> = manifest.files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names.len(), manifest.files.len());
    for name in names {
        let parts: Vec<Component> = Path::new(name).components().collect();
        assert!(matches!(parts[..], [Component::Normal(part)] if part == name), "{name:?}");
    }
}
