#!/usr/bin/perl
# Redis.pm, with its defaults. redis_perl.pl PORT: prints what tests/wire/compat.py reads.
use strict;
use warnings;
use Redis;

my $port = shift;
my $r = Redis->new(server => "127.0.0.1:$port");

sub check { die(($_[1] // "not as it should be") . "\n") unless $_[0] }

my @features = (
	connect => sub { check($r->ping) },
	strings => sub {
		$r->set(a => "\x00\xff\r\n");
		check($r->get("a") eq "\x00\xff\r\n");
		$r->mset(b => 1, c => 2);
		my @got = $r->mget("b", "none", "c");
		check($got[0] == 1 && !defined $got[1] && $got[2] == 2);
	},
	numbers => sub { check($r->incr("n") == 1 && $r->incrby("n", 41) == 42) },
	expiry => sub { $r->setex("e", 100, 1); check($r->ttl("e") == 100 && $r->persist("e") && $r->ttl("e") == -1) },
	bits => sub { $r->setbit("bits", 7, 1); check($r->bitcount("bits") == 1) },
	hashes => sub { $r->hset("h", f => 1, g => 2); my %got = $r->hgetall("h"); check($got{f} == 1 && $got{g} == 2) },
	scan => sub {
		$r->set("scan:$_" => 1) for 1 .. 300;
		my ($cursor, %found) = (0);
		do { ($cursor, my $keys) = $r->scan($cursor, "MATCH", "scan:*"); $found{$_} = 1 for @$keys } while $cursor;
		check(keys %found == 300);
	},
	pipeline => sub {
		my $done = 0;
		$r->set("p$_" => $_, sub { $done++ }) for 1 .. 1000;
		$r->wait_all_responses;
		check($done == 1000);
	},
	transaction => sub { $r->multi; $r->set(t => 1); $r->incr("t"); my @got = $r->exec; check($got[0] eq "OK" && $got[1] == 2) },
	watch => sub {
		my $other = Redis->new(server => "127.0.0.1:$port");
		$r->watch("w"); $other->set(w => "changed"); $r->multi; $r->set(w => "mine");
		check(!defined scalar $r->exec);
		check($r->get("w") eq "changed");
	},
	publish => sub {
		my $listener = Redis->new(server => "127.0.0.1:$port");
		my @heard;
		$listener->subscribe("news", sub { push @heard, $_[0] });
		$listener->psubscribe("n?ws", sub { push @heard, $_[0] });
		check($r->publish("news", "hello") == 2);
		$listener->wait_for_messages(1) for 1 .. 5;
		check("@heard" eq "hello hello", "@heard");
	},
	errors => sub {
		$r->set(s => "text");
		check(!eval { $r->hget("s", "f"); 1 } && $@ =~ /WRONGTYPE/);
		check($r->get("s") eq "text");
	},
	large => sub { my $text = "x" x (1 << 20); $r->set(large => $text); check($r->get("large") eq $text) },
	server => sub { check($r->info->{redis_version} && $r->dbsize > 0) },
	lists => sub { check($r->rpush("l", "a", "b") == 2) },
	scripts => sub { check($r->eval("return 1", 0) == 1) },
);

print "version\t$Redis::VERSION\n";
while (my ($name, $run) = splice(@features, 0, 2)) {
	if (eval { $run->(); 1 }) {
		print "$name\tok\n";
	} else {
		my $why = $@;
		$why =~ s/\s+/ /g;
		print "$name\tfail\t$why\n";
	}
}
