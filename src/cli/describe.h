/* `--describe`: what --help prints, as JSON. Manual pages, completion and docs/cli.md are made of it. */
#ifndef PD_CLI_DESCRIBE_H
#define PD_CLI_DESCRIBE_H

#include "cli/options.h"
#include "cli/verbs.h"

void pd_describe_options(const struct pd_options *options);
void pd_describe_verbs(const struct pd_verbs *verbs);

#endif
