/* Telling a running server what to do: commands over the admin socket in its data directory, one at a time. */
#ifndef PD_CLI_ADMIN_H
#define PD_CLI_ADMIN_H

#include "base/error.h"
#include "base/slice.h"
#include "cli/link.h"
#include "cli/options.h"
#include "os/os.h"

struct pd_admin {
	struct pd_os *os;
	const char *data; /* the data directory */
	struct pd_link link;
};

/* Connect to the server that has the data directory. PD_NOT_FOUND: none does; PD_PERMISSION; PD_TOO_LARGE: the path is too
 * long for a socket; PD_IO. The text says what to do. */
PD_MUST_CHECK int pd_admin_open(struct pd_admin *admin, struct pd_os *os, const char *data,
				struct pd_error *err);
/* Also when it is not open. */
void pd_admin_close(struct pd_admin *admin);

/* Send a command (NULL ends its words) and wait for the reply, which is valid until the next call. An error reply is
 * an error: PD_BUSY if it says so, else PD_INVALID, and the text is the server's. PD_IO: the server is gone. */
PD_MUST_CHECK int pd_admin_ask(struct pd_admin *admin, const char *const *words, struct pd_slice *ret_reply,
			       struct pd_error *err);

/* The same with words of any bytes. */
PD_MUST_CHECK int pd_admin_ask_slices(struct pd_admin *admin, const struct pd_slice *words, size_t count,
				      struct pd_slice *ret_reply, struct pd_error *err);

/* For a subcommand that asks one thing: connect and ask (`words` NULL: only connect). 0, or an exit status: then standard error has why. End it in any
 * case. */
int pd_admin_begin(struct pd_admin *admin, const struct pd_options *options, const char *data,
		   const char *const *words, struct pd_slice *ret_reply);
void pd_admin_end(struct pd_admin *admin);
/* What follows an error where the server's own words do not say what to do: "; …", or "". */
const char *pd_admin_advice(const struct pd_error *err);

/* The number in a field of a map. Absent or not one: 0. */
uint64_t pd_admin_number(struct pd_slice map, const char *name);
/* The text in a field of a map. Absent or not one: empty. */
struct pd_slice pd_admin_text(struct pd_slice map, const char *name);

#endif
