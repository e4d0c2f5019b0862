/* How commands are written: what COMMAND DOCS does not say. For hints and help. */
#ifndef PD_CLI_SYNTAX_H
#define PD_CLI_SYNTAX_H

#include "base/slice.h"

/* What follows the command's name ("SET", "CONFIG GET"), such as "key value [NX|XX] [GET]"; NULL: not known here. */
const char *pd_syntax_of(struct pd_slice name);

#endif
