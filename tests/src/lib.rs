//! Tests that cross crates live in this package; the library itself is empty.

/// Compiles the programs that the README shows.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::path::Path;

    fn read(path: &str) -> String {
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)).unwrap()
    }

    /// The blocks of this language.
    fn blocks(page: &str, language: &str) -> Vec<String> {
        let parts = page.split("```").skip(1).step_by(2);
        parts.filter_map(|block| Some(block.strip_prefix(language)?.split_once('\n')?.1.to_owned())).collect()
    }

    /// The doc test above compiles the programs with this package's dependencies; these are the README's.
    #[test]
    fn the_dependencies_of_the_readme_are_those_of_its_programs() {
        let (readme, workspace) = (read("README.md"), read("Cargo.toml").parse::<toml::Table>().unwrap());
        let shown = blocks(&readme, "toml").into_iter().find(|block| block.starts_with("[dependencies]")).unwrap();
        let shown = shown.parse::<toml::Table>().unwrap()["dependencies"].as_table().unwrap().clone();
        let programs = blocks(&readme, "rust").join("\n");
        assert!(programs.matches("fn main").count() >= 2, "{programs}");
        for (name, dependency) in &shown {
            assert!(programs.contains(&format!("use {}::", name.replace('-', "_"))), "no program uses {name}");
            match dependency.get("path").and_then(toml::Value::as_str) {
                Some(path) => {
                    assert!(read(&format!("{}/Cargo.toml", path.strip_prefix("gan-cli/").unwrap())).contains(name))
                }
                None => assert_eq!(dependency, &workspace["workspace"]["dependencies"][name], "{name}"),
            }
        }
        for line in programs.lines().filter_map(|line| line.strip_prefix("use ")) {
            let name = line.split("::").next().unwrap().replace('_', "-");
            assert!(shown.contains_key(&name), "the README's dependencies lack {name}");
        }
    }
}
