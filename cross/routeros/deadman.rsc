# The dead man's switch, on the router: when wanctl is no longer well, the queues get safe limits and
# steering is switched off. While all is well it writes nothing. Nothing happens when wanctl is back:
# it sets its rates again, sees by the comment of the rule that it was no hand that turned it, and takes over.
# May be run as often as you like.
#
# netwatch can ask for nothing but the root of a server, so wanctl answers there as at /health; it needs
# [observe] listen = "172.17.0.2:9178" in wanctl.toml. Asking every ten seconds; one answer that is missing or not 200 will do.
#
# Set the variables, copy the file to the router, then: /import deadman.rsc
# (Don't paste it into a terminal: there, variables end with their line.)

# Where wanctl answers.
:local host "172.17.0.2"
:local port 9178
# The rates that are right when nobody measures, per queue.
:local limits {
  {"queue"="wan1-download"; "rate"="200M"};
  {"queue"="wan1-upload"; "rate"="15M"};
}
# The comment of the switched mangle rule, as in steering.rsc; empty without steering.
:local steering "wanctl: steer wan2"

:local down ""
:foreach limit in=$limits do={
  :set down ($down . "/queue tree set [find name=\"" . ($limit->"queue") . "\"] max-limit=" . ($limit->"rate") . "; ")
}
:if ([:len $steering] > 0) do={
  :set down ($down . ":foreach rule in=[/ip firewall mangle find comment=\"$steering\" disabled=no] do={ /ip firewall mangle set \$rule disabled=yes comment=\"$steering (wanctl: dead-man)\" }; ")
}
:set down ($down . ":log warning \"wanctl: no sign of life; limits are safe ones now\"")
:if ([:len [/tool netwatch find comment="wanctl: dead-man"]] = 0) do={
  /tool netwatch add host=$host type=http-get comment="wanctl: dead-man"
}
/tool netwatch set [find comment="wanctl: dead-man"] host=$host port=$port type=http-get http-codes=200 interval=10s timeout=3s down-script=$down up-script="" disabled=no
:put "deadman: done"
