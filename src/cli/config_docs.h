/* docs/configuration.md, from the table of settings. */
#ifndef PD_CLI_CONFIG_DOCS_H
#define PD_CLI_CONFIG_DOCS_H

#include "cli/output.h"

void pd_config_print_docs(struct pd_output *output);

#endif
