/* Which server a subcommand talks to, as its options say, and getting in: connecting, protocol, user. */
#ifndef PD_CLI_TARGET_H
#define PD_CLI_TARGET_H

#include <stddef.h>

#include "base/error.h"
#include "cli/link.h"
#include "cli/options.h"
#include "os/os.h"

#define PD_TARGET_DATA "./data" /* where a server keeps its data unless it is told otherwise */
#define PD_TARGET_HOST "127.0.0.1"
#define PD_TARGET_PORT 7379

/* Zeros: the server of ./data, else the one on 127.0.0.1:7379. */
struct pd_target {
	const char *data;     /* through the admin socket in it */
	const char *host;     /* with a host or a port: over TCP, whatever `data` says */
	const char *user;     /* NULL: the default one */
	const char *password; /* NULL: none */
	const char *ca_file, *certificate_file, *key_file; /* of TLS; NULL: none */
	uint64_t port;
	bool tls, unverified;
	bool ask_password;
	int protocol; /* 2 or 3, as the handshake has found; 0: not yet */
};

/* Rows of a subcommand's table; `type` is its struct of given values, with a struct pd_target called `target` in it: TLS, and a
 * password that is asked for. */
#define PD_TARGET_TLS_OPTIONS(type)                                                                         \
	{ "tls",                                                                                            \
	  NULL,                                                                                             \
	  PD_OPTION_SWITCH,                                                                                 \
	  offsetof(type, target.tls),                                                                       \
	  0,                                                                                                \
	  0,                                                                                                \
	  "Through TLS, to the server's TLS port. The server's certificate has to be good." },              \
		{ "cacert",                                                                                 \
		  "FILE",                                                                                   \
		  PD_OPTION_TEXT,                                                                           \
		  offsetof(type, target.ca_file),                                                           \
		  0,                                                                                        \
		  0,                                                                                        \
		  "Who vouches for the server (PEM; default: those that this system trusts)." },            \
		{ "cert",                                                                                   \
		  "FILE",                                                                                   \
		  PD_OPTION_TEXT,                                                                           \
		  offsetof(type, target.certificate_file),                                                  \
		  0,                                                                                        \
		  0,                                                                                        \
		  "A certificate of one's own (PEM), for servers that ask for it; with --key." },           \
		{ "key", "FILE", PD_OPTION_TEXT, offsetof(type, target.key_file), 0, 0, "Its key (PEM)." }, \
		{ "insecure",                                                                               \
		  NULL,                                                                                     \
		  PD_OPTION_SWITCH,                                                                         \
		  offsetof(type, target.unverified),                                                        \
		  0,                                                                                        \
		  0,                                                                                        \
		  "With --tls, take any certificate: then it may be anybody who listens." },                \
	{                                                                                                   \
		"ask-password", NULL, PD_OPTION_SWITCH, offsetof(type, target.ask_password), 0, 0,          \
			"Ask for the password at the terminal, also without --user."                        \
	}
/* The same, and where the server is. The first
 * PD_TARGET_ENVIRONMENT of them count in the environment, too. */
#define PD_TARGET_ENVIRONMENT 4
#define PD_TARGET_OPTIONS(type)                                                                                  \
	{ "data",                                                                                                \
	  "DIR",                                                                                                 \
	  PD_OPTION_TEXT,                                                                                        \
	  offsetof(type, target.data),                                                                           \
	  0,                                                                                                     \
	  0,                                                                                                     \
	  "The server of this data directory, through the socket in it (default ./data, else the\n"              \
	  "server on 127.0.0.1:7379)." },                                                                        \
		{ "host",                                                                                        \
		  "HOST",                                                                                        \
		  PD_OPTION_TEXT,                                                                                \
		  offsetof(type, target.host),                                                                   \
		  0,                                                                                             \
		  0,                                                                                             \
		  "The server on this host (default 127.0.0.1), over TCP. Wins over --data." },                  \
		{ "port",                                                                                        \
		  "PORT",                                                                                        \
		  PD_OPTION_NUMBER,                                                                              \
		  offsetof(type, target.port),                                                                   \
		  1,                                                                                             \
		  65535,                                                                                         \
		  "Its port of the Redis protocol (default 7379). Wins over --data." },                          \
		{ "user",                                                                                        \
		  "NAME",                                                                                        \
		  PD_OPTION_TEXT,                                                                                \
		  offsetof(type, target.user),                                                                   \
		  0,                                                                                             \
		  0,                                                                                             \
		  "Who asks. The password is taken from PERDURE_PASSWORD, or asked for at the terminal." },      \
		{ "p", "PORT", PD_OPTION_NUMBER, offsetof(type, target.port), 1, 65535, "The same as --port." }, \
		PD_TARGET_TLS_OPTIONS(type)

/* Take the password from PERDURE_PASSWORD, or ask for it where that was wished; `password` is where it is kept. PD_NOT_FOUND: it
 * was to be asked for, and there is no terminal. */
#define PD_TARGET_PASSWORD_SIZE 512
PD_MUST_CHECK int pd_target_take_password(struct pd_target *target, char password[PD_TARGET_PASSWORD_SIZE],
					  struct pd_error *err);

/* Connect, agree on protocol 3 (2 where the server knows no other) and say who it is. PD_NOT_FOUND: there is no server;
 * PD_PERMISSION: user or password are not taken; else as pd_link_connect(). The text says what to do. A server that wants a
 * user where none was given is connected to all the same: it says so to each command. */
PD_MUST_CHECK int pd_target_connect(struct pd_target *target, struct pd_os *os, struct pd_link *link,
				    struct pd_error *err);

/* Send a command and take its reply (pushes in between are dropped). An error reply is PD_INVALID with its words. */
PD_MUST_CHECK int pd_target_ask(struct pd_link *link, const char *const *words, struct pd_slice *ret_reply,
				struct pd_error *err);
/* The same with words of any bytes. */
PD_MUST_CHECK int pd_target_ask_slices(struct pd_link *link, const struct pd_slice *words, size_t count,
				       struct pd_slice *ret_reply, struct pd_error *err);

#endif
