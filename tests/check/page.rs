//! `docs/routeros.md`, typed in from top to bottom on a router fresh from the box.

use super::console::Console;
use super::house::{House, PASSWORD};
use wanctl_hal::sim::{RouterSetup, TlsSetup, lock};

const PAGE: &str = include_str!("../../docs/routeros.md");

/// The commands of the page, in its order.
fn commands() -> Vec<&'static str> {
    let mut inside = false;
    let mut commands = Vec::new();
    for line in PAGE.lines() {
        match line {
            "```ros" => inside = true,
            "```" => inside = false,
            command if inside => commands.push(command),
            _ => {}
        }
    }
    commands
}

/// What is on the router before anybody prepares it.
const FRESH: &str = "/queue tree remove [find]; /queue type remove [find name=cake]; /certificate remove [find]; \
    /user set [find name=keeper] group=full; /user group remove [find name=wanctl]; \
    /ip service set [find name=www-ssl !dynamic] certificate=none address=\"\" disabled=yes; \
    /ip service set www address=\"\" disabled=no; \
    /ip firewall filter add chain=forward action=fasttrack-connection connection-state=established,related; \
    /system script add name=night-limits source=\"/queue tree set wan1-upload max-limit=5M\"; \
    /system scheduler add name=night-limits on-event=night-limits; \
    /tool netwatch add host=192.0.2.1 down-script=\"/queue tree set wan1-upload max-limit=5M\"";

#[test]
fn a_router_prepared_by_the_page_has_nothing_to_mend() {
    let setup = RouterSetup { user: "keeper".to_owned(), ..RouterSetup::default() };
    let mut house = House::with("page", setup, Some(TlsSetup::default()));
    let mut console = Console::of(house.world.clone(), "keeper", PASSWORD);
    console.run(FRESH).unwrap();
    house.change("\"wan1-dl\"", "\"wan1-download\"");
    house.change("\"wan1-ul\"", "\"wan1-upload\"");
    let line = house.run("trust").out;
    house.paste(line.trim());

    let commands = commands();
    assert!(commands.len() >= 20, "{commands:?}");
    for command in commands {
        console.run(command).unwrap_or_else(|error| panic!("{error}"));
    }
    lock(&house.world).router.set_credentials("wanctl", PASSWORD);
    let said = house.run("check");
    assert!(said.code == 0 && !said.out.contains("warn") && !said.out.contains("BAD"), "{said:?}");
    assert!(said.out.contains("may do what is needed, and no more"), "{}", said.out);
}

#[test]
fn a_wrong_command_on_the_page_would_be_noticed() {
    let house = House::new("wrong");
    for wrong in [
        "/queue tree add name=x parent=bridge queue=cacke",
        "/queue tree add name=x parent=nowhere",
        "/queue tree add name=x parent=bridge bucket_size=0.01",
        "/user group add name=x policy=read,restapi",
        "/ip service set www-tls address=1.2.3.4",
        // There is a live connection of that name, too.
        "/ip service set www-ssl address=1.2.3.4",
        "/certificate sign nobody name=x",
        "/certificate sign rest ca=nobody",
        "/ip firewall filters disable [find action=fasttrack-connection]",
    ] {
        assert!(house.console().run(wrong).is_err(), "{wrong}");
    }
}
