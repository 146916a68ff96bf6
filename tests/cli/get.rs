//! `get`: tables, formats, and what is said when it does not work.

use std::net::TcpListener;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::answers::{healthy, routes};
use crate::api::Api;
use crate::{pointsman, run};

#[test]
fn routes_are_a_table_with_a_row_for_each_backend() {
    let ran = healthy().run(&["get", "routes"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(ran.stderr, "");
    insta::assert_snapshot!(ran.stdout, @"
    ROUTE     RULE       HOSTS                 BACKEND                         WEIGHT   DESIRED   OBSERVED   SUCCESS    RPS     P50     P99   OVERRIDE      AGE
    podinfo   everyone   podinfo.example.com   primary                             95     95.0%      95.2%    99.94%   96.0   4.2ms   398ms   cli:ada       45m
                                               canary                               5      5.0%          -         -    0.0       -       -
    shop      insiders   podinfo.example.com   primary                            100    100.0%      95.2%    99.94%   96.0   4.2ms   398ms   <none>     <none>
                                               canary                               0      0.0%          -         -    0.0       -       -
              everyone   podinfo.example.com   primary                            100    100.0%      95.2%    99.94%   96.0   4.2ms   398ms   <none>     <none>
                                               canary                               0      0.0%          -         -    0.0       -       -
              old        podinfo.example.com   redirect https://example.com/        -         -          -         -      -       -       -   <none>     <none>
    ");
}

#[test]
fn wide_shows_more_columns() {
    let ran = healthy().run(&["get", "routes", "podinfo", "-o", "wide"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    insta::assert_snapshot!(ran.stdout, @"
    ROUTE     RULE       HOSTS                 BACKEND   WEIGHT   DESIRED   OBSERVED   SUCCESS    RPS     P50     P99   OVERRIDE   AGE   EXPIRES   BASE   SAMPLES    P90   REVISION   REASON        MATCHES
    podinfo   everyone   podinfo.example.com   primary       95     95.0%      95.2%    99.94%   96.0   4.2ms   398ms   cli:ada    45m    <none>     50      1204   51ms         12   look closer   path under /
                                               canary         5      5.0%          -         -    0.0       -       -                                50         0      -
    ");
}

#[test]
fn backends_are_a_table() {
    let ran = healthy().run(&["get", "backends", "-o", "wide"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    insta::assert_snapshot!(ran.stdout, @"
    BACKEND   STATE   PROTOCOL   ENDPOINTS   IN-FLIGHT   CONNECTIONS   USED-BY               ADDRESSES                       PROBLEM
    primary   ready   http1            2/2           3            17   podinfo/everyone=95   127.0.0.1:9898,127.0.0.1:9899   <none>
    canary    empty   h2c              0/0           0             0   <none>                <none>                          <none>
    ");
}

#[test]
fn events_come_oldest_first_and_of_one_route_if_asked() {
    let ran = healthy().run(&["get", "events"]);
    insta::assert_snapshot!(ran.stdout, @"
    ID   AGE   KIND       WHERE              ACTOR     MESSAGE
     5   45m   SplitSet   <none>             cli:ada   config reloaded
     6   45m   SplitSet   shop/everyone      cli:ada   canary 0 -> 5
     7   45m   SplitSet   podinfo/everyone   cli:ada   canary 5 -> 10
    ");
    let ran = healthy().run(&["get", "events", "shop", "-o", "name"]);
    assert_eq!(ran.stdout, "event/6\n");
}

#[test]
fn json_and_yaml_say_what_the_api_says() {
    let ran = healthy().run(&["get", "routes", "-o", "json"]);
    let said: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!(said["items"][1], routes()["items"][1]);
    let ran = healthy().run(&["get", "route", "podinfo", "-o", "yaml"]);
    let said: Value = serde_saphyr::from_str(&ran.stdout).expect("YAML");
    assert_eq!(said["name"], "podinfo");
    assert_eq!(said["rules"][0]["split"]["weights"]["canary"], 5);
}

#[test]
fn names_are_for_scripts() {
    let ran = healthy().run(&["get", "routes", "-o", "name"]);
    assert_eq!(ran.stdout, "route/podinfo\nroute/shop\n");
}

#[test]
fn a_problem_is_told_in_words() {
    let ran = healthy().run(&["get", "routes", "podinf"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""));
    assert_eq!(
        ran.stderr,
        "error: there is no route podinf\nhint: did you mean podinfo?\n"
    );
}

#[test]
fn a_server_that_is_not_there_says_so_with_code_69() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let ran = run(&["get", "routes", "--server", &address.to_string()]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(69), ""));
    assert_eq!(
        ran.stderr,
        format!(
            "error: cannot reach the control API at http://{address} (connection refused)\n\
             hint: start one with `pointsman run -c FILE`, or name another with --server URL or \
             POINTSMAN_SERVER\n"
        )
    );
}

#[test]
fn a_server_that_is_something_else_is_recognised() {
    let other = Api::start_raw(|_| (200, "<html>".to_owned()));
    let ran = other.run(&["get", "routes"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("not as a control API"), "{ran:?}");
    let broken = Api::start_raw(|_| (502, "bad gateway".to_owned()));
    let ran = broken.run(&["get", "routes"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("answered 502"), "{ran:?}");
    let odd = Api::start(|_| (200, json!({"revision": 1, "items": [{"name": 1}]})));
    let ran = odd.run(&["get", "routes"]);
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.stderr.contains("compare `pointsman version`"),
        "{ran:?}"
    );
}

#[test]
fn escape_sequences_of_others_do_not_reach_the_terminal() {
    let api = Api::start(|_| {
        let mut routes = routes();
        routes["items"][0]["rules"][0]["split"]["override"]["actor"] = json!("a\u{1b}]0;x\u{7}");
        (200, routes)
    });
    let ran = api.run(&["get", "routes", "--color=always"]);
    assert!(ran.stdout.contains("a ]0;x"), "{ran:?}");
    assert!(!ran.stdout.contains('\u{7}'), "{ran:?}");
}

#[test]
fn colour_comes_when_asked_for_and_not_otherwise() {
    let api = healthy();
    let colourful = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = pointsman(arguments);
        command.env("POINTSMAN_SERVER", api.url());
        command.envs(variables.iter().copied());
        let output = command.output().expect("the program starts");
        output.stdout.contains(&0x1b)
    };
    let plain = ["get", "routes"];
    let always = ["get", "routes", "--color", "always"];
    let never = ["get", "routes", "--color=never"];
    assert!(!colourful(&plain, &[]));
    assert!(colourful(&plain, &[("CLICOLOR_FORCE", "1")]));
    assert!(!colourful(&plain, &[("NO_COLOR", "1")]));
    assert!(colourful(&always, &[("NO_COLOR", "1")]));
    assert!(!colourful(&never, &[("CLICOLOR_FORCE", "1")]));
    // clap's own words obey as well.
    assert!(colourful(&["--color=always", "get", "--help"], &[]));
    assert!(!colourful(&["get", "--help"], &[]));
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let many = Api::start(|_| {
        let one = routes()["items"][0].clone();
        (200, json!({"revision": 1, "items": vec![one; 5000]}))
    });
    let mut command = pointsman(&["get", "routes"]);
    command.env("POINTSMAN_SERVER", many.url());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}
