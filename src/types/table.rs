//! Menus of the router as a person sees them: for commands that look around (`wanctl check`).
//! The loop never reads them, so rows may allocate.

use std::collections::BTreeMap;

/// A menu that can be read as rows of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// What the router is; one row.
    Resource,
    /// Who may log in.
    User,
    /// What they may do.
    UserGroup,
    /// The queue tree.
    Tree,
    /// Simple queues.
    Simple,
    /// The disciplines of queues.
    QueueType,
    /// The interfaces.
    Interface,
    /// Firewall rules of IPv4.
    Filter,
    /// Firewall rules of IPv6.
    Filter6,
    /// Scripts.
    Script,
    /// What runs at set times.
    Scheduler,
    /// What runs when a host comes or goes.
    Netwatch,
    /// What the router serves, and to whom.
    Service,
    /// Its certificates.
    Certificate,
    /// Marks of IPv4.
    Mangle,
    /// Marks of IPv6.
    Mangle6,
    /// Address translation.
    Nat,
    /// The routing tables.
    RoutingTable,
    /// Which packets look where.
    RoutingRule,
    /// The default routes of IPv4.
    Route,
    /// The default routes of IPv6.
    Route6,
    /// The addresses of its interfaces.
    Address,
}

const MANGLE: &str = ".id,chain,action,new-connection-mark,new-routing-mark,connection-mark,connection-state,passthrough,\
    in-interface,in-interface-list,src-address,src-address-list,comment,disabled,dynamic,invalid";

/// Default routes only: a router may have a million others.
const ROUTE: &str =
    ".id,dst-address,gateway,routing-table,distance,check-gateway,disabled,dynamic&dst-address=0.0.0.0/0";
const ROUTE6: &str = ".id,dst-address,gateway,routing-table,disabled,dynamic&dst-address=::/0";

impl Table {
    /// All of them.
    pub const ALL: [Self; 22] = [
        Self::Resource,
        Self::User,
        Self::UserGroup,
        Self::Tree,
        Self::Simple,
        Self::QueueType,
        Self::Interface,
        Self::Filter,
        Self::Filter6,
        Self::Script,
        Self::Scheduler,
        Self::Netwatch,
        Self::Service,
        Self::Certificate,
        Self::Mangle,
        Self::Mangle6,
        Self::Nat,
        Self::RoutingTable,
        Self::RoutingRule,
        Self::Route,
        Self::Route6,
        Self::Address,
    ];

    /// The path below `/rest`, and the members to ask for, as the manual and recorded answers spell
    /// them. What a row leaves out is unset; a version that refuses a member costs us this menu only.
    const fn spelling(self) -> (&'static str, &'static str) {
        match self {
            Self::Resource => {
                ("/system/resource", "version,board-name,uptime,write-sect-since-reboot,write-sect-total")
            }
            Self::User => ("/user", ".id,name,group,address,disabled"),
            Self::UserGroup => ("/user/group", ".id,name,policy"),
            Self::Tree => (
                "/queue/tree",
                ".id,name,parent,packet-mark,queue,max-limit,limit-at,bucket-size,burst-limit,disabled,invalid",
            ),
            Self::Simple => (
                "/queue/simple",
                ".id,name,target,parent,queue,max-limit,limit-at,bucket-size,burst-limit,disabled,invalid,dynamic",
            ),
            Self::QueueType => ("/queue/type", ".id,name,kind,cake-bandwidth,cake-autorate-ingress"),
            Self::Interface => ("/interface", ".id,name,type,running,disabled"),
            Self::Filter => ("/ip/firewall/filter", ".id,chain,action,connection-mark,comment,disabled,dynamic"),
            Self::Filter6 => ("/ipv6/firewall/filter", ".id,chain,action,connection-mark,comment,disabled,dynamic"),
            Self::Script => ("/system/script", ".id,name,source,policy,comment"),
            Self::Scheduler => ("/system/scheduler", ".id,name,on-event,disabled,comment"),
            Self::Netwatch => ("/tool/netwatch", ".id,name,host,up-script,down-script,test-script,disabled,comment"),
            Self::Service => ("/ip/service", ".id,name,port,address,certificate,disabled,dynamic"),
            Self::Certificate => ("/certificate", ".id,name,fingerprint,invalid-after,expires-after"),
            Self::Mangle => ("/ip/firewall/mangle", MANGLE),
            Self::Mangle6 => ("/ipv6/firewall/mangle", MANGLE),
            Self::Nat => ("/ip/firewall/nat", ".id,chain,action,out-interface,disabled,dynamic"),
            Self::RoutingTable => ("/routing/table", ".id,name,fib,disabled"),
            Self::RoutingRule => ("/routing/rule", ".id,src-address,action,table,disabled"),
            Self::Route => ("/ip/route", ROUTE),
            Self::Route6 => ("/ipv6/route", ROUTE6),
            Self::Address => ("/ip/address", ".id,address,interface,disabled"),
        }
    }

    /// The path below `/rest`.
    #[must_use]
    pub const fn path(self) -> &'static str {
        self.spelling().0
    }

    /// The members to ask for, separated by commas, and behind an ampersand which rows.
    #[must_use]
    pub const fn members(self) -> &'static str {
        self.spelling().1
    }

    /// The same place on the console.
    #[must_use]
    pub fn console(self) -> String {
        format!("/{}", self.path()[1..].replace('/', " "))
    }

    /// A member that every row has; a body without it is another menu's.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Resource => "version",
            _ => ".id",
        }
    }
}

/// One object, member by member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row(pub BTreeMap<String, String>);

impl Row {
    /// The text of a member; empty when it is unset.
    #[must_use]
    pub fn get(&self, member: &str) -> &str {
        self.0.get(member).map_or("", String::as_str)
    }

    /// Whether a member says yes.
    #[must_use]
    pub fn is(&self, member: &str) -> bool {
        matches!(self.get(member), "true" | "yes")
    }
}

impl<const N: usize> From<[(&str, &str); N]> for Row {
    fn from(members: [(&str, &str); N]) -> Self {
        Self(members.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }
}
