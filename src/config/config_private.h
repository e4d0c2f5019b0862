/* What the files of src/config share. */
#ifndef PD_CONFIG_CONFIG_PRIVATE_H
#define PD_CONFIG_CONFIG_PRIVATE_H

#include "config/config.h"

struct pd_config_entry {
	struct pd_setting_value value;
	enum pd_origin origin;
	unsigned line; /* of the file */
};

struct pd_config {
	struct pd_config_sources sources;
	struct pd_config_host host;
	struct pd_config_entry effective[PD_SETTING_COUNT];
	/* What the sources said when they were read last; differs from `effective` after CONFIG SET, and where a restart is
	 * needed. */
	struct pd_config_entry loaded[PD_SETTING_COUNT];
};

/* Take one value from a source into `config->effective`. `where` names it in errors: "--resp". A value that is wrong is a
 * problem, and changes nothing. */
void pd_config_take(struct pd_config *config, enum pd_setting_id id, enum pd_origin origin, unsigned line,
		    const char *where, struct pd_slice text, struct pd_config_problems *problems);

/* ---- file.c ---- */
/* Read the file and take what it says. */
void pd_config_take_file(struct pd_config *config, struct pd_config_problems *problems);

/* ---- check.c ---- */
/* What no single setting shows: combinations, and what may be regretted. */
void pd_config_check(struct pd_config *config, struct pd_config_problems *problems);

#endif
