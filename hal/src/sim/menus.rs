//! What RouterOS's menus around the queues hold: types, users, rules, scripts, services,
//! certificates; and what is in them on a router that was well prepared.

use super::objects::Objects;
use super::schema::{
    CERTIFICATE, Counts, Kind, Property, QUEUE_TYPE, ROUTE, SCHEMAS, SERVICE, Schema, USER, USER_GROUP, p,
};
use super::setup::RouterSetup;
use super::site;

/// Every policy of RouterOS 7, in the order in which a group lists them.
pub(crate) const POLICIES: [&str; 17] = [
    "local",
    "telnet",
    "ssh",
    "ftp",
    "reboot",
    "read",
    "write",
    "policy",
    "test",
    "winbox",
    "password",
    "web",
    "sniff",
    "sensitive",
    "api",
    "romon",
    "rest-api",
];

pub(crate) const fn menu(path: &'static [&'static str], properties: &'static [Property]) -> Schema {
    Schema {
        path,
        single: false,
        growing: true,
        first_id: 1,
        properties,
        read_only: &[],
        required: Some("name"),
        counts: Counts::None,
    }
}

pub(crate) const TYPE_MENU: Schema = Schema {
    required: Some("kind"),
    ..menu(
        &["queue", "type"],
        &[
            p("cake-ack-filter", Kind::Text, "none"),
            p("cake-autorate-ingress", Kind::Flag, "false"),
            p("cake-bandwidth", Kind::Rate, "0"),
            p("cake-diffserv", Kind::Text, "diffserv3"),
            p("cake-flowmode", Kind::Text, "triple-isolate"),
            p("cake-nat", Kind::Flag, "false"),
            p("kind", Kind::Text, ""),
            p("name", Kind::Text, ""),
        ],
    )
};

pub(crate) const GROUP_MENU: Schema = menu(
    &["user", "group"],
    &[p("name", Kind::Text, ""), p("policy", Kind::Policy, ""), p("skin", Kind::Text, "default")],
);

pub(crate) const USER_MENU: Schema = menu(
    &["user"],
    &[
        p("address", Kind::Text, ""),
        p("comment", Kind::Comment, ""),
        p("disabled", Kind::Flag, "false"),
        p("group", Kind::Text, "read"),
        p("name", Kind::Text, ""),
        p("password", Kind::Secret, ""),
    ],
);

pub(crate) const FILTER6_MENU: Schema = Schema { path: &["ipv6", "firewall", "filter"], ..site::FILTER_MENU };

pub(crate) const SCRIPT_MENU: Schema = menu(
    &["system", "script"],
    &[
        p("comment", Kind::Comment, ""),
        p("name", Kind::Text, ""),
        p("policy", Kind::Text, "ftp,reboot,read,write,policy,test,password,sniff,sensitive,romon"),
        p("source", Kind::Text, ""),
    ],
);

pub(crate) const SCHEDULER_MENU: Schema = menu(
    &["system", "scheduler"],
    &[
        p("comment", Kind::Comment, ""),
        p("disabled", Kind::Flag, "false"),
        p("interval", Kind::Text, "0s"),
        p("name", Kind::Text, ""),
        p("on-event", Kind::Text, ""),
    ],
);

pub(crate) const NETWATCH_MENU: Schema = Schema {
    required: Some("host"),
    read_only: &[("status", "unknown")],
    ..menu(
        &["tool", "netwatch"],
        &[
            p("comment", Kind::Comment, ""),
            p("disabled", Kind::Flag, "false"),
            p("down-script", Kind::Text, ""),
            p("host", Kind::Text, ""),
            p("http-codes", Kind::Comment, ""),
            p("interval", Kind::Text, "10s"),
            p("name", Kind::Text, ""),
            p("port", Kind::Number(1, 65_535), "80"),
            p("test-script", Kind::Text, ""),
            p("timeout", Kind::Text, "3s"),
            p("type", Kind::OneOf(&["simple", "icmp", "tcp-conn", "http-get", "https-get", "dns"]), "simple"),
            p("up-script", Kind::Text, ""),
        ],
    )
};

pub(crate) const SERVICE_MENU: Schema = Schema {
    growing: false,
    read_only: &[("dynamic", "false"), ("invalid", "false")],
    ..menu(
        &["ip", "service"],
        &[
            p("address", Kind::Text, ""),
            p("certificate", Kind::Text, "none"),
            p("disabled", Kind::Flag, "false"),
            p("max-sessions", Kind::Number(1, 1_000), "20"),
            p("name", Kind::Text, ""),
            p("port", Kind::Number(1, 65_535), "80"),
            p("tls-version", Kind::Text, "any"),
        ],
    )
};

pub(crate) const CERTIFICATE_MENU: Schema = menu(
    &["certificate"],
    &[
        p("common-name", Kind::Text, ""),
        p("days-valid", Kind::Number(1, 36_500), "365"),
        p("key-size", Kind::Text, "2048"),
        p("key-usage", Kind::Text, ""),
        p("name", Kind::Text, ""),
        p("subject-alt-name", Kind::Text, ""),
    ],
);

/// Flags such as `dynamic` and `active` are there only where they are true.
pub(crate) const ROUTE_MENU: Schema = Schema {
    required: Some("gateway"),
    ..menu(
        &["ip", "route"],
        &[
            p("check-gateway", Kind::Comment, ""),
            p("comment", Kind::Comment, ""),
            p("disabled", Kind::Flag, "false"),
            p("distance", Kind::Number(1, 255), "1"),
            p("dst-address", Kind::Text, "0.0.0.0/0"),
            p("gateway", Kind::Text, ""),
            p("routing-table", Kind::Named(&[site::ROUTING_TABLE]), "main"),
            p("scope", Kind::Number(0, 255), "30"),
            p("target-scope", Kind::Number(0, 255), "10"),
        ],
    )
};

pub(crate) const ROUTE6_MENU: Schema = Schema { path: &["ipv6", "route"], required: Some("dst-address"), ..ROUTE_MENU };

/// Fills the menus as a well prepared router has them.
pub(crate) fn prepare(objects: &mut Objects, setup: &RouterSetup) {
    let mut add = |table: usize, given: &[(&str, &str)]| {
        let properties = SCHEMAS[table].properties;
        let value = |p: &Property| given.iter().find(|(name, _)| *name == p.name).map_or(p.default, |(_, value)| value);
        let values = properties.iter().map(|p| (p.name, value(p).to_owned())).collect();
        objects.insert(table, values)
    };
    for (name, kind) in [("default", "pfifo"), ("default-small", "pfifo")] {
        add(QUEUE_TYPE, &[("name", name), ("kind", kind)]);
    }
    for name in &setup.queue_types {
        add(QUEUE_TYPE, &[("name", name), ("kind", "cake")]);
    }
    let all = POLICIES.join(",");
    add(USER_GROUP, &[("name", "full"), ("policy", &policy(&all).unwrap_or_default())]);
    let granted = granted(setup.may_read, setup.may_write);
    add(USER_GROUP, &[("name", "wanctl"), ("policy", &granted)]);
    let near = "127.0.0.0/8,192.168.0.0/16";
    add(USER, &[("name", "admin"), ("group", "full"), ("password", "admin"), ("comment", "system default user")]);
    add(USER, &[("name", &setup.user), ("group", "wanctl"), ("password", &setup.password), ("address", near)]);
    add(SERVICE, &[("name", "www"), ("port", "80"), ("address", near), ("disabled", "true")]);
    add(SERVICE, &[("name", "www-ssl"), ("port", "443"), ("address", near), ("certificate", "rest")]);
    let connection = add(SERVICE, &[("name", "www-ssl"), ("port", "443")]);
    let rest = add(CERTIFICATE, &[("name", "rest"), ("common-name", "router"), ("days-valid", "1825")]);
    add(site::ROUTING_TABLE, &[("name", "main")]);
    add(ROUTE, &[("gateway", "192.0.2.1"), ("comment", "by hand")]);
    let lease = add(ROUTE, &[("gateway", "198.51.100.1"), ("distance", "2")]);
    let flags = &mut objects.tables[ROUTE].rows;
    for flag in ["active", "dynamic", "dhcp"] {
        flags[lease].values.insert(flag, "true".to_owned());
    }

    // Since 7.19 a live connection is a row of the same name.
    objects.tables[SERVICE].rows[connection].values.insert("dynamic", "true".to_owned());
    objects.sign(rest);
}

/// The policy list of a group with these rights, and that of logging in over REST.
pub(crate) fn granted(may_read: bool, may_write: bool) -> String {
    let rights = [(may_read, "read"), (may_write, "write"), (true, "rest-api")];
    let names: Vec<&str> = rights.iter().filter(|(may, _)| *may).map(|(_, name)| *name).collect();
    policy(&names.join(",")).unwrap_or_default()
}

/// A policy list as it reads back: every policy, the missing ones with `!`. `None` when one is
/// unknown.
pub(crate) fn policy(text: &str) -> Option<String> {
    let given: Vec<&str> = text.split(',').map(str::trim).filter(|word| !word.is_empty()).collect();
    let known = |word: &&str| POLICIES.contains(&word.trim_start_matches('!'));
    let mark = |policy: &str| if given.contains(&policy) { policy.to_owned() } else { format!("!{policy}") };
    given.iter().all(known).then(|| POLICIES.map(mark).join(","))
}
