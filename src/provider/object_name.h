/* What an object can be called: the rule is in object_store.h. */
#ifndef PD_PROVIDER_OBJECT_NAME_H
#define PD_PROVIDER_OBJECT_NAME_H

#include <stdbool.h>

#include "base/error.h"

/* PD_INVALID, with what is wrong with it. */
PD_MUST_CHECK int pd_object_name_check(const char *name, struct pd_error *err);
/* Whether some name can begin with it; "" is fine. PD_INVALID. */
PD_MUST_CHECK int pd_object_prefix_check(const char *prefix, struct pd_error *err);
bool pd_object_name_valid(const char *name);

#endif
