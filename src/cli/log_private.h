/* What the subcommands of `perdure log` share. */
#ifndef PD_CLI_LOG_PRIVATE_H
#define PD_CLI_LOG_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/id_table.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "engine/manifest.h"
#include "log/verify.h"
#include "os/os.h"

int pd_cli_log_dump_run(int argc, char **argv);
int pd_cli_log_verify_run(int argc, char **argv);
int pd_cli_log_stats_run(int argc, char **argv);
int pd_cli_log_repair_run(int argc, char **argv);
int pd_cli_log_compact_run(int argc, char **argv);

#define PD_CLI_LOG_EXIT_STATUSES                                                                     \
	"Exit status:\n"                                                                             \
	"  0  the log was read to its end, nothing is damaged\n"                                     \
	"  1  it could not be read: no such directory, no permission, a disk that answers no more\n" \
	"  2  the command line is wrong\n"                                                           \
	"  4  damage was found, or a newer version of Perdure wrote it"

/* ---- log.c: the log that is looked at ---- */
struct pd_cli_log_source {
	struct pd_os *os;
	const char *data; /* the data directory */
	char *directory;  /* of the log */
	struct pd_manifest manifest;
	bool manifest_damaged; /* then the log was found without it */
	char manifest_text[300];
	struct pd_log_verifier *verifier;
	bool json;
	bool progressing;
	struct pd_progress progress;
};

/* Takes no lock. 0, or an exit status: then it has said why on standard error. `what`: for the progress. */
int pd_cli_log_source_open(struct pd_cli_log_source *source, const struct pd_options *options,
			   const char *data, bool json, const char *what);
/* 0 and a sight; PD_END; an error, which has been said. */
PD_MUST_CHECK int pd_cli_log_source_next(struct pd_cli_log_source *source, struct pd_log_sight *ret_sight);
void pd_cli_log_source_close(struct pd_cli_log_source *source);
/* The exit status for how the reading ended. */
int pd_cli_log_source_status(const struct pd_cli_log_source *source, int result);

/* ---- log_names.c: who is who, learned from the records as they come ---- */
struct pd_cli_log_names {
	struct pd_id_table tenants, actors; /* struct pd_cli_log_name */
	struct pd_id_table clients;         /* struct pd_cli_log_client */
	uint64_t epoch;
	uint32_t segment;
	bool out_of_memory;
	/* Told of each name that a record gives; NULL: nobody is. tenant 0: it is a tenant's. */
	void (*told)(void *context, uint64_t id, uint64_t tenant, struct pd_slice text);
	void *context;
};

struct pd_cli_log_name {
	uint64_t id;
	uint64_t tenant; /* of an actor */
	char *text;      /* never NULL */
	size_t size;
};

struct pd_cli_log_client {
	uint64_t number;
	uint32_t segment; /* that it announced itself in */
	char *principal, *text;
	size_t principal_size, text_size;
};

void pd_cli_log_names_init(struct pd_cli_log_names *names);
void pd_cli_log_names_done(struct pd_cli_log_names *names);
void pd_cli_log_names_learn(struct pd_cli_log_names *names, const struct pd_log_sight *sight);
/* The same with a name that is known already; tenant 0: it is a tenant's. */
void pd_cli_log_names_add(struct pd_cli_log_names *names, uint64_t id, uint64_t tenant, struct pd_slice text);
/* NULL: not known. */
const struct pd_cli_log_name *pd_cli_log_names_tenant(const struct pd_cli_log_names *names, uint64_t id);
const struct pd_cli_log_name *pd_cli_log_names_actor(const struct pd_cli_log_names *names, uint64_t id);
const struct pd_cli_log_client *pd_cli_log_names_client(const struct pd_cli_log_names *names,
							uint64_t number);
/* "tenant/actor", or what stands for an unknown name. */
void pd_cli_log_names_print(const struct pd_cli_log_names *names, struct pd_output *output, uint64_t tenant,
			    uint64_t actor);
/* Fields "tenant" and "actor", with numbers where names are not known. */
void pd_cli_log_names_fields(const struct pd_cli_log_names *names, struct pd_output *output, uint64_t tenant,
			     uint64_t actor);
/* Does "[tenant/]actor" mean this actor? Without a tenant: "default". */
bool pd_cli_log_names_match(const struct pd_cli_log_names *names, const char *wanted, uint64_t tenant,
			    uint64_t actor);

/* ---- log_record.c: what a record says of itself, as JSON ---- */
/* Fields "bookmark" to "idempotency_key", of an object that is open; `actor` is who the record is about. */
void pd_cli_log_record_fields(const struct pd_cli_log_names *names, struct pd_output *output,
			      const struct pd_record *record, uint64_t tenant, uint64_t actor);

/* ---- log_damage.c: damage in words ---- */
/* "; of default/shop" */
void pd_cli_log_damage_whose(const struct pd_cli_log_names *names, struct pd_output *output,
			     const struct pd_log_damage *damage);
void pd_cli_log_damage_print(const struct pd_cli_log_names *names, struct pd_output *output,
			     const struct pd_log_sight *sight);
void pd_cli_log_damage_fields(const struct pd_cli_log_names *names, struct pd_output *output,
			      const struct pd_log_sight *sight);

/* ---- log_effect.c: effects as a user knows them ---- */
/* May the effect be shown, given --actor and --key (NULL: all)? */
bool pd_cli_log_effect_wanted(const struct pd_cli_log_names *names, const struct pd_effect *effect,
			      const char *actor, const char *key);
void pd_cli_log_effect_print(const struct pd_cli_log_names *names, struct pd_output *output,
			     const struct pd_effect *effect, bool values);
void pd_cli_log_effect_fields(const struct pd_cli_log_names *names, struct pd_output *output,
			      const struct pd_effect *effect, bool values);
/* Bytes that the effect carries for a user: names of keys and fields, and values; 0 for the engine's own. */
uint64_t pd_cli_log_effect_payload(const struct pd_effect *effect);

#endif
