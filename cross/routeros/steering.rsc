# Steering: while line 1 is in trouble, *new* connections of the kinds below leave by line 2. wanctl
# switches one mangle rule, found by its comment; or (lease mode) puts prefixes of the LAN on an
# address list for a minute at a time, which costs no write to the flash and ends by itself.
# May be run as often as you like; the rule that wanctl switches is left as it is.
#
# Set the variables, copy the file to the router, then: /import steering.rsc
# (Don't paste it into a terminal: there, variables end with their line.)

# The comment of the switched rule, as in wanctl.toml (steering.alternate.rule).
:local comment "wanctl: steer wan2"
# Interface list of the LAN, as in the default configuration.
:local lan "LAN"
# The other line.
:local interface "ether2"
:local gateway "198.51.100.1"
# What is steered, by DSCP: 46 is EF (calls), 34 AF41 (video). Empty: everything new.
:local dscp "46"
# Lease mode: instead of the rule being switched, the lists "wanctl-steer-a" and "wanctl-steer-b" are filled
# (steering.alternate.lease.lists).
:local lease false

:local table "wanctl-steer"
:if ([:len [/routing table find name=$table]] = 0) do={ /routing table add name=$table fib comment="wanctl" }
:if ([:len [/ip route find routing-table=$table]] = 0) do={
  /ip route add dst-address=0.0.0.0/0 gateway=$gateway routing-table=$table check-gateway=ping comment="wanctl"
}
/ip route set [find routing-table=$table] gateway=$gateway
:if ([:len [/ip firewall nat find comment="wanctl: steering"]] = 0) do={
  /ip firewall nat add chain=srcnat out-interface=$interface action=masquerade comment="wanctl: steering"
}
/ip firewall nat set [find comment="wanctl: steering"] out-interface=$interface

# The rule that is switched marks connections, not packets: one that has begun stays on its line,
# whatever is switched later, and one that is steered is steered with all its packets.
:if (!$lease) do={
  # The dead man's switch may have had it.
  :foreach rule in=[/ip firewall mangle find comment="$comment (wanctl: dead-man)"] do={
    /ip firewall mangle set $rule comment=$comment
  }
  :if ([:len [/ip firewall mangle find comment=$comment]] = 0) do={
    /ip firewall mangle add chain=prerouting action=mark-connection new-connection-mark=wanctl-steer passthrough=yes disabled=yes comment=$comment
  }
  /ip firewall mangle set [find comment=$comment] in-interface-list=$lan connection-state=new connection-mark=no-mark dst-address-type=!local
  :if ([:len $dscp] > 0) do={ /ip firewall mangle set [find comment=$comment] dscp=$dscp }
} else={
  :foreach list in={"wanctl-steer-a"; "wanctl-steer-b"} do={
    :if ([:len [/ip firewall mangle find comment="$comment ($list)"]] = 0) do={
      /ip firewall mangle add chain=prerouting action=mark-connection new-connection-mark=wanctl-steer passthrough=yes comment="$comment ($list)"
    }
    /ip firewall mangle set [find comment="$comment ($list)"] in-interface-list=$lan connection-state=new connection-mark=no-mark dst-address-type=!local src-address-list=$list
    :if ([:len $dscp] > 0) do={ /ip firewall mangle set [find comment="$comment ($list)"] dscp=$dscp }
  }
}
# This one stays: it routes by the mark.
:if ([:len [/ip firewall mangle find comment="wanctl: steered connections"]] = 0) do={
  /ip firewall mangle add chain=prerouting action=mark-routing new-routing-mark=$table passthrough=no connection-mark=wanctl-steer comment="wanctl: steered connections"
}
/ip firewall mangle set [find comment="wanctl: steered connections"] in-interface-list=$lan

# FastTrack knows only the main table: what is marked must stay off it.
:foreach rule in=[/ip firewall filter find action=fasttrack-connection dynamic=no] do={
  /ip firewall filter set $rule connection-mark=no-mark
}
:put "steering: done"
