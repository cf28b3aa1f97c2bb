//! The bill of materials: what the program is made of, in the JSON of CycloneDX 1.5.
//!
//! Source: the specification of CycloneDX 1.5, and of package URLs for `pkg:cargo`.

use anyhow::{Context, Result};
use gan_fetch::digest::sha256;
use serde_json::{Value, json};

use super::packages::Package;
use super::source_date;

/// The program that is described.
#[derive(Clone, Copy)]
pub(super) struct Subject<'a> {
    /// The package that it is built of.
    pub(super) package: &'a str,
    pub(super) program: &'a [u8],
    pub(super) target: &'a str,
    /// Version of the compiler, whose standard library is compiled in.
    pub(super) rustc: &'a str,
    /// Seconds since 1970.
    pub(super) date: u64,
}

/// The document, with a newline at its end.
///
/// # Errors
/// When `packages` lacks the program's own.
pub(super) fn json(subject: &Subject<'_>, packages: &[Package]) -> Result<String> {
    let root = packages.iter().find(|package| package.name == subject.package);
    let root = root.with_context(|| format!("no package {} among those of the program", subject.package))?;
    let mut program = component(root, "application");
    program["hashes"] = hashes(&sha256(subject.program));
    let mut of_toolchain = vec![toolchain_library("rust-std", "Rust's standard library", "MIT OR Apache-2.0", subject)];
    if subject.target.ends_with("-musl") {
        of_toolchain.push(toolchain_library(
            "musl",
            "The C library, in the version that comes with this Rust",
            "MIT",
            subject,
        ));
    }
    let others = packages.iter().filter(|package| package.name != root.name);
    let components: Vec<_> = others.map(|package| component(package, "library")).chain(of_toolchain).collect();
    let dependencies: Vec<_> = packages
        .iter()
        .map(|package| {
            let uses = package.uses.iter().map(|(name, version)| purl(name, version));
            json!({ "ref": purl(&package.name, &package.version), "dependsOn": uses.collect::<Vec<_>>() })
        })
        .collect();
    let mut document = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "timestamp": source_date::iso(subject.date),
            "component": program,
            "properties": [{ "name": "target", "value": subject.target }],
        },
        "components": components,
        "dependencies": dependencies,
    });
    document["serialNumber"] = format!("urn:uuid:{}", uuid(&sha256(document.to_string().as_bytes()))).into();
    Ok(format!("{document:#}\n"))
}

fn component(package: &Package, kind: &str) -> Value {
    let purl = purl(&package.name, &package.version);
    let mut component = json!({
        "type": kind,
        "bom-ref": purl,
        "name": package.name,
        "version": package.version,
        "description": package.description,
        "licenses": [{ "expression": package.licence }],
        "purl": purl,
    });
    if let Some(sum) = &package.sha256 {
        component["hashes"] = hashes(sum);
    }
    if let Some(address) = &package.repository {
        component["externalReferences"] = json!([{ "type": "vcs", "url": address }]);
    }
    component
}

/// What the compiler brings along; its version is the compiler's.
fn toolchain_library(name: &str, description: &str, licence: &str, subject: &Subject<'_>) -> Value {
    let purl = format!("pkg:generic/{name}@rust-{}", subject.rustc);
    json!({
        "type": "library",
        "bom-ref": purl,
        "name": name,
        "version": format!("rust-{}", subject.rustc),
        "description": description,
        "licenses": [{ "expression": licence }],
        "purl": purl,
    })
}

fn hashes(sha256: &str) -> Value {
    json!([{ "alg": "SHA-256", "content": sha256 }])
}

/// A package URL; a `+` in a version has to be written in percent.
fn purl(name: &str, version: &str) -> String {
    format!("pkg:cargo/{name}@{}", version.replace('+', "%2B"))
}

/// A UUID of version 8 (made of what its maker likes) of a hash in hexadecimal digits: the same document has the same number.
fn uuid(hash: &str) -> String {
    format!("{}-{}-8{}-8{}-{}", &hash[..8], &hash[8..12], &hash[13..16], &hash[17..20], &hash[20..32])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn package(name: &str, sha256: Option<&str>, uses: &[(&str, &str)]) -> Package {
        Package {
            name: name.into(),
            version: "1.0.0+a".into(),
            licence: "MIT OR Apache-2.0".into(),
            authors: Vec::new(),
            repository: sha256.map(|_| "https://h".into()),
            description: "Does".into(),
            folder: "/".into(),
            sha256: sha256.map(Into::into),
            uses: uses.iter().map(|(name, version)| ((*name).into(), (*version).into())).collect(),
        }
    }

    #[test]
    fn every_package_is_a_component_and_every_reference_leads_to_one() {
        let packages =
            [package("gan-cli", None, &[("serde", "1.0.0+a")]), package("serde", Some(&"ab".repeat(32)), &[])];
        let subject = Subject { package: "gan-cli", program: b"x", target: "t", rustc: "1.95.0", date: 0 };
        let text = json(&subject, &packages).unwrap();
        assert_eq!(text, json(&subject, &packages).unwrap());
        let document: Value = serde_json::from_str(&text).unwrap();
        let program = &document["metadata"]["component"];
        assert_eq!(
            (&program["type"], &program["purl"]),
            (&json!("application"), &json!("pkg:cargo/gan-cli@1.0.0%2Ba"))
        );
        assert_eq!(program["hashes"][0]["content"], sha256(b"x"));
        let components = document["components"].as_array().unwrap();
        let names: Vec<_> = components.iter().map(|component| component["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["serde", "rust-std"]);
        assert_eq!(components[0]["hashes"][0], json!({ "alg": "SHA-256", "content": "ab".repeat(32) }));
        let known: Vec<_> = components.iter().chain([program]).map(|component| &component["bom-ref"]).collect();
        let dependencies = document["dependencies"].as_array().unwrap();
        assert_eq!(dependencies[0]["dependsOn"], json!(["pkg:cargo/serde@1.0.0%2Ba"]));
        for dependency in dependencies {
            assert!(known.contains(&&dependency["ref"]), "{dependency}");
            assert!(
                dependency["dependsOn"].as_array().unwrap().iter().all(|other| known.contains(&other)),
                "{dependency}"
            );
        }
        let number = document["serialNumber"].as_str().unwrap();
        assert!(number.len() == 45 && number.as_bytes()[23] == b'8' && number.as_bytes()[28] == b'8', "{number}");
        let of_musl = json(&Subject { target: "x86_64-unknown-linux-musl", ..subject }, &packages).unwrap();
        assert!(of_musl.contains("pkg:generic/musl@rust-1.95.0") && !text.contains("musl"));
        let other = json(&Subject { program: b"y", ..subject }, &packages).unwrap();
        assert_ne!(serde_json::from_str::<Value>(&other).unwrap()["serialNumber"], number);
    }
}
