/* A password from a person or a script: never from the command line, which everybody can read. */
#ifndef PD_CLI_PASSWORD_H
#define PD_CLI_PASSWORD_H

#include <stddef.h>

#include "base/error.h"
#include "os/os.h"

/* From the first line of `file` if there is one; else asked for twice on a terminal, without showing it; else the first line of
 * standard input. NUL-terminated; wipe it. PD_INVALID: it is none, or the two differ. */
PD_MUST_CHECK int pd_password_read(struct pd_os *os, const char *file, char *password, size_t size,
				   struct pd_error *err);

/* Ask once on the terminal, without showing the answer. PD_NOT_FOUND: there is no terminal; PD_INVALID: nothing was given. */
PD_MUST_CHECK int pd_password_ask(const char *question, char *password, size_t size, struct pd_error *err);

#endif
