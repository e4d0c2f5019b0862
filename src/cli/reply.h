/* A server's reply as somebody wants to see it. */
#ifndef PD_CLI_REPLY_H
#define PD_CLI_REPLY_H

#include <stdbool.h>

#include "base/slice.h"
#include "cli/output.h"

enum pd_reply_form {
	PD_REPLY_PRETTY, /* for people: numbered, indented, with its types; nothing that a terminal would obey */
	PD_REPLY_RAW,    /* for scripts: the bytes as they are, one item a line */
	PD_REPLY_JSON, /* for programs: one JSON value a line */
};

struct pd_reply_style {
	enum pd_reply_form form;
	bool colour; /* PRETTY only */
};

/* Print the reply at the front of `reply`, with a line end. */
void pd_reply_print(struct pd_output *output, struct pd_slice reply, const struct pd_reply_style *style);
/* The same as the value of a field of a JSON object. */
void pd_reply_print_field(struct pd_output *output, const char *name, struct pd_slice reply);
/* Is it an error? */
bool pd_reply_is_error(struct pd_slice reply);

#endif
