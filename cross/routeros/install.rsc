# wanctl in a container on this router (arm, arm64 or x86; RouterOS 7.16 or later). May be run as
# often as you like: what is there is set right, what is missing is added, nothing is added twice.
# Only what begins with "wanctl", or has a comment that does, is touched.
#
# Before: the package `container` is installed, `/system/device-mode/update container=yes` was
# confirmed at the device, the image and the directory "wanctl-conf" with wanctl.toml are on the disk.
# Set the variables, copy the file to the router, then: /import install.rsc
# (Don't paste it into a terminal: there, variables end with their line.)

# Where the container lives: a USB or NVMe disk with ext4, not the flash.
:local disk "usb1"
:local image "usb1/wanctl.tar"
# The little network between router and container.
:local router "172.17.0.1"
:local network "172.17.0.0/24"
# What wanctl logs in with; long, and used nowhere else.
:local password ""
# A row for each line: its name, the interface it leaves by, the address its probes come from
# (`source` in wanctl.toml), and the gateway. With PPPoE the gateway is the interface's name.
:local lines {
  {"name"="wan1"; "interface"="ether1"; "source"="172.17.0.2"; "gateway"="192.0.2.1"};
}

:if ([:len $password] < 12) do={ :error "install.rsc: set the variable password, 12 characters or more" }

# Interface: a veth with an address per line, on a bridge of its own.
:local bits [:pick $network [:find $network "/"] [:len $network]]
:local addresses ""
:local sources ""
:foreach line in=$lines do={
  :if ([:len $addresses] > 0) do={ :set addresses ($addresses . ","); :set sources ($sources . ",") }
  :set addresses ($addresses . ($line->"source") . $bits)
  :set sources ($sources . ($line->"source") . "/32")
}
:if ([:len [/interface bridge find name="wanctl"]] = 0) do={ /interface bridge add name=wanctl }
:if ([:len [/interface veth find name="veth-wanctl"]] = 0) do={
  /interface veth add name=veth-wanctl address=$addresses gateway=$router
}
/interface veth set [find name="veth-wanctl"] address=$addresses gateway=$router
:if ([:len [/interface bridge port find interface="veth-wanctl"]] = 0) do={
  /interface bridge port add bridge=wanctl interface=veth-wanctl
}
:if ([:len [/ip address find interface="wanctl"]] = 0) do={
  /ip address add address=($router . $bits) interface=wanctl comment="wanctl"
}
/ip address set [find interface="wanctl"] address=($router . $bits)

# The user, with no more rights than needed.
:local policy "read,write,rest-api,!api,!local,!telnet,!ssh,!ftp,!reboot,!policy,!test,!winbox,!password,!web,!sniff,!sensitive,!romon"
:if ([:len [/user group find name="wanctl"]] = 0) do={ /user group add name=wanctl policy=$policy }
/user group set [find name="wanctl"] policy=$policy
:if ([:len [/user find name="wanctl"]] = 0) do={ /user add name=wanctl group=wanctl password=$password }
/user set [find name="wanctl"] group=wanctl address=$sources password=$password

# Rules are made anew, in their order, in front of all others.
# Out: probes, by the lines. In: REST. Nothing else, in case somebody breaks out of the container.
/ip firewall nat remove [find comment="wanctl"]
/ip firewall filter remove [find comment="wanctl"]
/routing rule remove [find comment="wanctl"]
:local first [/ip firewall filter find dynamic=no]
:if ([:len $first] = 0) do={
  # So that there is something to stand in front of.
  /ip firewall filter add chain=forward action=passthrough comment="wanctl"
  :set first [/ip firewall filter find dynamic=no]
}
:set first [:pick $first 0]
/ip firewall filter add chain=input src-address=$network connection-state=established,related action=accept comment="wanctl" place-before=$first
/ip firewall filter add chain=input src-address=$network protocol=tcp dst-port=80,443 action=accept comment="wanctl" place-before=$first
/ip firewall filter add chain=input src-address=$network action=drop comment="wanctl" place-before=$first
/routing rule add src-address=$network dst-address=$network action=lookup-only-in-table table=main comment="wanctl"
:foreach line in=$lines do={
  :local table ("wanctl-" . ($line->"name"))
  :local interface ($line->"interface")
  :local source (($line->"source") . "/32")
  /ip firewall filter add chain=forward src-address=$source out-interface=$interface action=accept comment="wanctl" place-before=$first
  /ip firewall nat add chain=srcnat src-address=$source out-interface=$interface action=masquerade comment="wanctl"
  :if ([:len [/routing table find name=$table]] = 0) do={ /routing table add name=$table fib comment="wanctl" }
  :if ([:len [/ip route find routing-table=$table]] = 0) do={
    /ip route add dst-address=0.0.0.0/0 gateway=($line->"gateway") routing-table=$table comment="wanctl"
  }
  /ip route set [find routing-table=$table] gateway=($line->"gateway")
  # Only in this table: when the line is down its probes are lost, and don't sneak out by another.
  /routing rule add src-address=$source action=lookup-only-in-table table=$table comment="wanctl"
}
/ip firewall filter add chain=forward src-address=$network action=drop comment="wanctl" place-before=$first

# Password and directories. Names of properties have changed between versions, and a script with a
# name that this version doesn't know isn't read at all: so the newest spelling is tried first, as
# a text, then the older ones.
:do {
  :local make [:parse "/container envs remove [find list=wanctl]"]
  $make
  :set make [:parse "/container envs add list=wanctl key=WANCTL_ROUTER_PASSWORD value=\"$password\""]
  $make
} on-error={
  # 7.16 to 7.19
  :local make [:parse "/container envs remove [find name=wanctl]"]
  $make
  :set make [:parse "/container envs add name=wanctl key=WANCTL_ROUTER_PASSWORD value=\"$password\""]
  $make
}
:do {
  :local make [:parse "/container mounts remove [find list=wanctl]"]
  $make
  :set make [:parse "/container mounts add list=wanctl src=/$disk/wanctl-conf dst=/etc/wanctl"]
  $make
  :set make [:parse "/container mounts add list=wanctl src=/$disk/wanctl-state dst=/var/lib/wanctl"]
  $make
} on-error={
  # 7.16 to 7.20
  :local make [:parse "/container mounts remove [find name=wanctl-conf]; /container mounts remove [find name=wanctl-state]"]
  $make
  :set make [:parse "/container mounts add name=wanctl-conf src=/$disk/wanctl-conf dst=/etc/wanctl"]
  $make
  :set make [:parse "/container mounts add name=wanctl-state src=/$disk/wanctl-state dst=/var/lib/wanctl"]
  $make
}

# The container itself; if it is there already it is left alone (docs/install.md has the upgrade).
:if ([:len [/container find interface="veth-wanctl"]] = 0) do={
  :local common "/container add file=$image interface=veth-wanctl root-dir=/$disk/wanctl-root hostname=wanctl logging=yes start-on-boot=yes"
  :local made false
  # 7.21 and later; 7.20; 7.16 to 7.19.
  :foreach spelling in={
    "envlists=wanctl mountlists=wanctl";
    "envlists=wanctl mounts=wanctl-conf,wanctl-state";
    "envlist=wanctl mounts=wanctl-conf,wanctl-state"
  } do={
    :if (!$made) do={
      :do {
        :local make [:parse ($common . " " . $spelling)]
        $make
        :set made true
      } on-error={}
    }
  }
  :if (!$made) do={
    :error "install.rsc: the container was refused. Is the package there, the device mode confirmed, the image at $image?"
  }
}
:put "install: done. When the container is extracted: /container start [find interface=veth-wanctl]"
