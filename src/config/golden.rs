//! Broken files and what is said about them; shipped files and that nothing is said about them.

use super::Base;

#[test]
fn smoke() {
    let base = Base::load("config/canary.yaml".as_ref()).expect("good");
    println!(
        "{base:#?} {:?} {}",
        base.blueprint(&Default::default()),
        base.document()
    );
    for text in [
        "routes:\n  - nam: a\n",
        "apiVersion: pointsman.dev/v1\nlisteners:\n  - {name: web, address: \"0.0.0.0:80\"}\naccessLog: off\nroutes:\n  - name: A\n    hosts: [x.com, 'http://y.com/z']\n    rules:\n      - matches: [{path: {prefix: a}, headers: [{name: x, exact: 1}]}]\n        filters: {requestHeaders: {set: {x y: a, host: b}}}\n        split:\n          - backend: a\n            weight: -1\n          - {backend: b, weight: 0.5}\n          - {backend: c, weight: 1000001}\nbackends:\n  - name: a\n    endpoints: [localhost:80]\n",
    ] {
        println!("{}", Base::parse("x.yaml", text).expect_err("bad"));
    }
    println!("{}", super::schema_json());
}
