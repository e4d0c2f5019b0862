/* Levels as plain sorted files. */
#include "store/levels_private.h"

int pd_levels_plain_open(const struct pd_levels_options *options, struct pd_levels **ret_levels,
			 struct pd_error *err)
{
	(void)ret_levels;
	return pd_error_set(err, PD_NOT_SUPPORTED, "%s: plain levels are not built yet", options->directory);
}
