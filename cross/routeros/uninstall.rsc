# Removes what install.rsc, steering.rsc and deadman.rsc have added. May be run as often as you like.
# When wanctl stops it gives your own limits back; the queues then work on with these.
#
# Set the variables, copy the file to the router, then: /import uninstall.rsc
# (Don't paste it into a terminal: there, variables end with their line.)

# The comment of the switched rule, as in steering.rsc.
:local steering "wanctl: steer wan2"
# Whether the queues of queues.rsc go as well, and then which lines they are of.
:local queues false
:local lines {"wan1"}

# First the dead man's switch, which would take the end for a death.
/tool netwatch remove [find comment="wanctl: dead-man"]

# Stopping takes a while, and what still runs can't be removed.
:foreach container in=[/container find interface="veth-wanctl"] do={
  :do { /container stop $container } on-error={}
  :local tries 0
  :local gone false
  :while (!$gone && $tries < 30) do={
    :do { /container remove $container; :set gone true } on-error={ :delay 1s; :set tries ($tries + 1) }
  }
  :if (!$gone) do={ :error "uninstall.rsc: the container does not stop" }
}
# Names of properties have changed between versions; see install.rsc.
:foreach command in={
  "/container envs remove [find list=wanctl]";
  "/container envs remove [find name=wanctl]";
  "/container mounts remove [find list=wanctl]";
  "/container mounts remove [find name=wanctl-conf]";
  "/container mounts remove [find name=wanctl-state]"
} do={
  :do { :local make [:parse $command]; $make } on-error={}
}

/ip firewall mangle remove [find comment=$steering]
/ip firewall mangle remove [find comment="$steering (wanctl: dead-man)"]
/ip firewall mangle remove [find comment="$steering (wanctl-steer-a)"]
/ip firewall mangle remove [find comment="$steering (wanctl-steer-b)"]
/ip firewall mangle remove [find comment="wanctl: steered connections"]
/ip firewall nat remove [find comment="wanctl: steering"]
/ip firewall nat remove [find comment="wanctl"]
/ip firewall filter remove [find comment="wanctl"]
/routing rule remove [find comment="wanctl"]
/ip route remove [find comment="wanctl"]
/routing table remove [find comment="wanctl"]
/ip address remove [find interface="wanctl"]
/interface bridge port remove [find interface="veth-wanctl"]
/interface veth remove [find name="veth-wanctl"]
/interface bridge remove [find name="wanctl"]
/user remove [find name="wanctl"]
/user group remove [find name="wanctl"]

:if ($queues) do={
  :foreach name in=$lines do={
    /queue tree remove [find name="$name-download"]
    /queue tree remove [find name="$name-upload"]
  }
  /queue type remove [find name="wanctl-cake"]
}
:put "uninstall: done"
