# CAKE types and queue trees for the lines that wanctl controls. May be run as often as you like:
# what is there is set right, except the limits, which are wanctl's business while it runs.
#
# Set the variables, copy the file to the router, then: /import queues.rsc
# (Don't paste it into a terminal: there, variables end with their line.)

# Where download leaves the router: the bridge of the LAN.
:local lan "bridge"
# A row for each line: its name, where upload leaves the router (with PPPoE: that interface), and
# the limits it has without wanctl ("0": none).
:local lines {
  {"name"="wan1"; "interface"="ether1"; "download"="940M"; "upload"="38M"};
}
# With one line, an empty mark: everything on the interface is its download. With several, each
# line's downloads must be told apart by a packet mark: "wan1" for the mark of line wan1.
:local marked false

:local type "wanctl-cake"
:if ([:len [/queue type find name=$type]] = 0) do={ /queue type add name=$type kind=cake }
# cake-bandwidth and cake-autorate-ingress would be a second limit and a second controller.
/queue type set [find name=$type] cake-nat=yes cake-bandwidth=0 cake-autorate-ingress=no

:foreach line in=$lines do={
  :local name ($line->"name")
  :local mark ""
  :if ($marked) do={ :set mark $name }
  :if ([:len [/queue tree find name="$name-download"]] = 0) do={
    /queue tree add name="$name-download" parent=$lan max-limit=($line->"download")
  }
  # The bucket is a time: 10 ms of full rate after a pause, not the 100 of the default.
  /queue tree set [find name="$name-download"] parent=$lan packet-mark=$mark queue=$type bucket-size=0.01
  :if ([:len [/queue tree find name="$name-upload"]] = 0) do={
    /queue tree add name="$name-upload" parent=($line->"interface") max-limit=($line->"upload")
  }
  /queue tree set [find name="$name-upload"] parent=($line->"interface") queue=$type bucket-size=0.01
}
:put "queues: done"
