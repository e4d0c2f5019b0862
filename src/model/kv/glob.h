/* Patterns as Redis has them: "*" any bytes, "?" one byte, "[a-z]" and "[^a-z]" sets, "\" takes what follows as it is.
 * Bytes, not characters. */
#ifndef PD_MODEL_KV_GLOB_H
#define PD_MODEL_KV_GLOB_H

#include <stdbool.h>

#include "base/slice.h"

/* Time: at worst text.size * pattern.size, whatever the pattern. */
bool pd_glob_match(struct pd_slice pattern, struct pd_slice text);
/* The same without regard to the case of ASCII letters. */
bool pd_glob_match_nocase(struct pd_slice pattern, struct pd_slice text);

/* What every match begins with; may be empty. Points into the pattern. */
struct pd_slice pd_glob_prefix(struct pd_slice pattern);

#endif
