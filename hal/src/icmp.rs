//! ICMP echo messages: bytes ⇄ requests and replies. Pure; the parser must take any bytes.
