//! What `docs/wallet.md` quotes stands in the programs that the tests run.

use larder_tests::root;
use std::fs;

#[test]
fn the_walk_through_quotes_the_programs_as_they_are() {
    let read = |path: &str| fs::read_to_string(root().join(path)).unwrap();
    let page = read("docs/wallet.md");
    for (language, program) in [
        ("```js\n", "tests/clients/wallet.mjs"),
        ("```python\n", "tests/clients/wallet.py"),
    ] {
        let program = read(program);
        let quotes: Vec<&str> = page.split(language).skip(1).collect();
        assert!(quotes.len() >= 4, "{language}");
        for quote in quotes {
            let (quote, _) = quote.split_once("\n```").unwrap();
            assert!(program.contains(quote), "not in the program:\n{quote}");
        }
    }
}
