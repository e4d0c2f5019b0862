/* The backends of the levels. Inside the room only. */
#ifndef PD_STORE_LEVELS_PRIVATE_H
#define PD_STORE_LEVELS_PRIVATE_H

#include "store/levels.h"

PD_MUST_CHECK int pd_levels_rocks_open(const struct pd_levels_options *options, struct pd_levels **ret_levels,
				       struct pd_error *err);
PD_MUST_CHECK int pd_levels_plain_open(const struct pd_levels_options *options, struct pd_levels **ret_levels,
				       struct pd_error *err);

#endif
