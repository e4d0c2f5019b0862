/* The arguments of commands, as data.
 *
 *   arguments:  name~type=TOKEN^since!deprecated(arguments)flags …
 *
 *     type       ~i integer  ~d double  ~k0 key, of the key specification 0  ~p pattern  ~u Unix time  ~t the token alone
 *                ~o one of the arguments in parentheses  ~b all of them, in their order; none: a string
 *     =TOKEN     the word that stands before it, or, with ~t, is it
 *     ^ and !    the versions of Redis that have it, and that would not have it any more
 *     flags      ? may be left out  * may be there several times  + the token, too, each time
 *
 *   keys:       first:last:step flags; …    as in COMMAND INFO: last counts from first, or < 0 from the end */
#ifndef PD_FRONT_RESP_SYNTAX_H
#define PD_FRONT_RESP_SYNTAX_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

struct pd_resp_writer;

struct pd_resp_syntax {
	const char *name, *arguments, *keys;
};
extern const struct pd_resp_syntax pd_resp_syntaxes[];
extern const size_t pd_resp_syntax_count;

/* NULL: it has none. */
const struct pd_resp_syntax *pd_resp_syntax_find(const char *name);
/* As COMMAND DOCS shows them: an array. */
void pd_resp_syntax_write_arguments(struct pd_resp_writer *reply, const char *arguments);

/* One specification of keys. */
struct pd_resp_keys {
	int first, last, step;
	struct pd_slice flags; /* words */
};
/* The next; *rest begins with syntax->keys. false: no more. */
bool pd_resp_syntax_next_keys(const char **rest, struct pd_resp_keys *ret_keys);
/* As COMMAND INFO shows them: an array. */
void pd_resp_syntax_write_keys(struct pd_resp_writer *reply, const char *keys);
/* The words of the flags, as a set. */
void pd_resp_syntax_write_flags(struct pd_resp_writer *reply, struct pd_slice flags);

#endif
