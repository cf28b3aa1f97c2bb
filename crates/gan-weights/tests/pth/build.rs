//! Pickles and containers, byte by byte.

/// A zip archive of stored entries, whose headers a test may distort.
pub(crate) struct Zip {
    pub(crate) entries: Vec<Entry>,
}

pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) data: Vec<u8>,
    pub(crate) method: u16,
    pub(crate) flags: u16,
    /// What the directory says in place of the truth: packed and unpacked size, local header.
    pub(crate) packed: Option<u32>,
    pub(crate) size: Option<u32>,
    pub(crate) offset: Option<u32>,
    pub(crate) crc: Option<u32>,
}

impl Zip {
    /// `archive/data.pkl` and storages of these keys.
    pub(crate) fn pth(pickle: &[u8], storages: &[(&str, &[u8])]) -> Self {
        let mut zip = Self { entries: Vec::new() };
        zip.add("archive/data.pkl", pickle);
        for (key, data) in storages {
            zip.add(&format!("archive/data/{key}"), data);
        }
        zip
    }

    pub(crate) fn add(&mut self, name: &str, data: &[u8]) -> &mut Entry {
        self.entries.push(Entry {
            name: name.into(),
            data: data.into(),
            method: 0,
            flags: 0,
            packed: None,
            size: None,
            offset: None,
            crc: None,
        });
        self.entries.last_mut().unwrap()
    }

    pub(crate) fn entry(&mut self, name: &str) -> &mut Entry {
        self.entries.iter_mut().find(|entry| entry.name == name).unwrap()
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let (mut file, mut directory) = (Vec::new(), Vec::new());
        for entry in &self.entries {
            let offset = entry.offset.unwrap_or(file.len() as u32);
            let crc = entry.crc.unwrap_or_else(|| crc32fast::hash(&entry.data));
            let mut fields = Vec::new();
            for number in [20, entry.flags, entry.method, 0, 0x21] {
                fields.extend(u16::to_le_bytes(number));
            }
            fields.extend(crc.to_le_bytes());
            let length = entry.data.len() as u32;
            fields.extend(entry.packed.unwrap_or(length).to_le_bytes());
            fields.extend(entry.size.unwrap_or(length).to_le_bytes());
            fields.extend((entry.name.len() as u16).to_le_bytes());
            fields.extend([0, 0]);
            file.extend(b"PK\x03\x04");
            file.extend(&fields);
            file.extend(entry.name.as_bytes());
            file.extend(&entry.data);
            directory.extend(b"PK\x01\x02\x14\x00");
            directory.extend(&fields);
            directory.extend([0; 10]);
            directory.extend(offset.to_le_bytes());
            directory.extend(entry.name.as_bytes());
        }
        let start = file.len() as u32;
        file.extend(&directory);
        file.extend(b"PK\x05\x06\0\0\0\0");
        file.extend((self.entries.len() as u16).to_le_bytes());
        file.extend((self.entries.len() as u16).to_le_bytes());
        file.extend((directory.len() as u32).to_le_bytes());
        file.extend(start.to_le_bytes());
        file.extend([0, 0]);
        file
    }
}

/// The container of PyTorch before 1.6.
pub(crate) fn legacy(pickle: &[u8], storages: &[(&str, usize, &[u8])]) -> Vec<u8> {
    let mut file = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.".to_vec();
    file.extend(b"\x80\x02M\xe9\x03.");
    file.extend(b"\x80\x02}");
    file.extend(text("little_endian"));
    file.extend(b"\x88s.");
    file.extend(pickle);
    file.extend(b"\x80\x02](");
    for (key, ..) in storages {
        file.extend(text(key));
    }
    file.extend(b"e.");
    for (_, count, data) in storages {
        file.extend((*count as u64).to_le_bytes());
        file.extend(*data);
    }
    file
}

/// A protocol-2 pickle of this body.
pub(crate) fn pickle(body: &[u8]) -> Vec<u8> {
    [b"\x80\x02", body, b"."].concat()
}

/// A pickle of a dict of these items.
pub(crate) fn dict(items: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut body = b"}(".to_vec();
    for (key, value) in items {
        body.extend(text(key));
        body.extend(value);
    }
    body.push(b'u');
    pickle(&body)
}

/// Pushes a string.
pub(crate) fn text(text: &str) -> Vec<u8> {
    [b"X", &(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat()
}

/// Pushes an integer.
pub(crate) fn int(n: i64) -> Vec<u8> {
    [b"\x8a\x08", &n.to_le_bytes()[..]].concat()
}

/// Pushes a tuple of integers.
pub(crate) fn tuple(numbers: &[i64]) -> Vec<u8> {
    let mut body = b"(".to_vec();
    for &number in numbers {
        body.extend(int(number));
    }
    body.push(b't');
    body
}

/// Pushes a float32 storage of `count` elements.
pub(crate) fn storage(key: &str, count: i64) -> Vec<u8> {
    storage_of("FloatStorage", key, count)
}

/// Pushes a storage of class `torch.{class}`.
pub(crate) fn storage_of(class: &str, key: &str, count: i64) -> Vec<u8> {
    let mut body = b"(".to_vec();
    body.extend(text("storage"));
    body.extend(format!("ctorch\n{class}\n").as_bytes());
    body.extend(text(key));
    body.extend(text("cpu"));
    body.extend(int(count));
    body.extend(b"tQ");
    body
}

/// Pushes a tensor over `storage`.
pub(crate) fn tensor(storage: &[u8], offset: i64, size: &[i64], stride: &[i64]) -> Vec<u8> {
    let mut body = b"ctorch._utils\n_rebuild_tensor_v2\n(".to_vec();
    body.extend(storage);
    body.extend(int(offset));
    body.extend(tuple(size));
    body.extend(tuple(stride));
    body.extend(b"\x89}tR");
    body
}

/// Little-endian float32 elements.
pub(crate) fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|x| x.to_le_bytes()).collect()
}
