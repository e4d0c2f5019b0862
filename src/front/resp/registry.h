/* All commands that the Redis door knows, found by name without regard to case.
 *
 * Names lie lower-cased in 32 zero-padded bytes, so that comparing and hashing one is four words' work; the table is
 * open-addressed and at most a quarter full. */
#ifndef PD_FRONT_RESP_REGISTRY_H
#define PD_FRONT_RESP_REGISTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/histogram.h"
#include "base/slice.h"
#include "model/command.h"

#define PD_RESP_NAME_SIZE 32 /* a longer name is no command */

struct pd_resp_entry {
	union {
		char text[PD_RESP_NAME_SIZE];
		uint64_t words[PD_RESP_NAME_SIZE / 8];
	} name;
	/* A copy; for a bare container that no table names, one that evaluates nothing. */
	struct pd_command command;
	const void *answer; /* for PD_COMMAND_CONNECTION: its struct pd_resp_command */
	bool container;     /* others are named "name|…" */
	bool subcommand;
	struct pd_histogram times; /* its count: calls */
	uint64_t rejected, failed;
};

struct pd_resp_registry {
	struct pd_resp_entry *entries;
	size_t count, capacity;
	uint16_t *slots; /* index + 1; 0: empty */
	size_t mask;
};

void pd_resp_registry_init(struct pd_resp_registry *registry);
void pd_resp_registry_done(struct pd_resp_registry *registry);
/* Add one command. PD_EXISTS: two of one name; PD_NO_MEMORY. `answer` as in struct pd_resp_entry. */
PD_MUST_CHECK int pd_resp_registry_add(struct pd_resp_registry *registry, const struct pd_command *command,
				       const void *answer, struct pd_error *err);
/* Sort, link containers and build the table: call once, after the last add. */
PD_MUST_CHECK int pd_resp_registry_seal(struct pd_resp_registry *registry, struct pd_error *err);

/* By the name alone; "config|get" names a subcommand. NULL: unknown. */
struct pd_resp_entry *pd_resp_registry_name(const struct pd_resp_registry *registry, struct pd_slice name);
/* For a request. NULL: unknown; *ret_container is then the container whose subcommand is unknown, or NULL. */
struct pd_resp_entry *pd_resp_registry_find(const struct pd_resp_registry *registry,
					    const struct pd_slice *words, size_t count,
					    const struct pd_resp_entry **ret_container);
/* Is `count` words right for it? */
static inline bool pd_resp_entry_takes(const struct pd_resp_entry *entry, size_t count)
{
	int arity = entry->command.arity;

	return arity >= 0 ? count == (size_t)arity : count >= (size_t)-arity;
}

#endif
