/* What the subcommands of `perdure backup` share. */
#ifndef PD_CLI_BACKUP_PRIVATE_H
#define PD_CLI_BACKUP_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backup/further.h"
#include "backup/go_on.h"
#include "backup/manifest.h"
#include "backup/repository.h"
#include "cli/actor_bulk.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "os/os.h"

struct pd_backup_given {
	const char *data, *repository, *scratch, *at;
	const char *archive, *log;
	const char *archive_s3_endpoint, *archive_s3_region, *archive_s3_style, *archive_s3_ca_file,
		*archive_s3_profile;
	const char *s3_endpoint, *s3_region, *s3_style, *s3_ca_file;
	bool s3_look_first;
	const char *key_file, *passphrase_file, *new_key_file, *new_passphrase_file;
	uint64_t keep, keep_for_ms, keep_daily, keep_weekly, keep_monthly, keep_yearly;
	bool json, all, quick, no_state, dry_run, new_repository;
	/* Of a restore of some actors. */
	const char *actor, *as, *into_server, *directory;
	struct pd_bulk_given select;
	bool replace;
};

#define PD_BACKUP_AT(field) offsetof(struct pd_backup_given, field)
#define PD_BACKUP_OPTION(name, argument, kind, field, help)                               \
	{                                                                                 \
		name, argument, kind, offsetof(struct pd_backup_given, field), 0, 0, help \
	}
/* Where the backups are. So many options, which count in the environment, too. */
#define PD_BACKUP_PLACE_OPTIONS 8
#define PD_BACKUP_OPTIONS_OF_PLACE                                                                        \
	PD_BACKUP_OPTION("repository", "ADDRESS", PD_OPTION_TEXT, repository,                             \
			 "Where the backups are: a directory, or s3://BUCKET/PREFIX (default:\n"          \
			 "PERDURE_REPOSITORY). Not on the disk that they are to outlive."),               \
		PD_BACKUP_OPTION(                                                                         \
			"s3-endpoint", "URL", PD_OPTION_TEXT, s3_endpoint,                                \
			"In S3: the service (default: PERDURE_S3_ENDPOINT, else AWS).\nWho we are there " \
			"is looked for where AWS's own tools look."),                                     \
		PD_BACKUP_OPTION(                                                                         \
			"s3-region", "REGION", PD_OPTION_TEXT, s3_region,                                 \
			"Its region (default: PERDURE_S3_REGION, else as AWS's own tools have it)."),     \
		PD_BACKUP_OPTION("s3-style", "STYLE", PD_OPTION_TEXT, s3_style,                           \
				 "Where the bucket is named: auto, path or virtual (default auto)."),     \
		PD_BACKUP_OPTION("s3-ca-file", "FILE", PD_OPTION_TEXT, s3_ca_file,                        \
				 "Who vouches for the service, as PEM."),                                 \
		PD_BACKUP_OPTION(                                                                         \
			"s3-look-first", NULL, PD_OPTION_SWITCH, s3_look_first,                           \
			"For a service that cannot create only where there is none: look\nbefore each "   \
			"put. Only where nobody else writes to the repository."),                         \
		PD_BACKUP_OPTION("key-file", "FILE", PD_OPTION_TEXT, key_file,                            \
				 "The key of an encrypted repository: 32 random bytes, or 64 "            \
				 "hexadecimal\ndigits."),                                                 \
		PD_BACKUP_OPTION("passphrase-file", "FILE", PD_OPTION_TEXT, passphrase_file,              \
				 "The same with a passphrase, in the file's first line.")
/* Come right behind them, and count in the environment, too. */
#define PD_BACKUP_ARCHIVE_OPTIONS 6
#define PD_BACKUP_OPTIONS_OF_ARCHIVE                                                                        \
	PD_BACKUP_OPTION("archive", "ADDRESS", PD_OPTION_TEXT, archive,                                     \
			 "The archive of its log, where that goes on behind the backups (default:\n"        \
			 "PERDURE_ARCHIVE). In S3: at the same service as the repository, unless one of "   \
			 "the\nnext is given."),                                                            \
		PD_BACKUP_OPTION("archive-s3-endpoint", "URL", PD_OPTION_TEXT, archive_s3_endpoint,         \
				 "Where the archive is in S3, the service, if it is another one than the\n" \
				 "repository's (default: AWS)."),                                           \
		PD_BACKUP_OPTION("archive-s3-region", "REGION", PD_OPTION_TEXT, archive_s3_region,          \
				 "Its region (default: as AWS's own tools have it)."),                      \
		PD_BACKUP_OPTION("archive-s3-style", "STYLE", PD_OPTION_TEXT, archive_s3_style,             \
				 "Where its bucket is named: auto, path or virtual (default auto)."),       \
		PD_BACKUP_OPTION("archive-s3-ca-file", "FILE", PD_OPTION_TEXT, archive_s3_ca_file,          \
				 "Who vouches for it, as PEM."),                                            \
		PD_BACKUP_OPTION(                                                                           \
			"archive-s3-profile", "NAME", PD_OPTION_TEXT, archive_s3_profile,                   \
			"Who we are there: that profile of the shared credentials file (default: as\n"      \
			"for the repository).")
#define PD_BACKUP_OPTION_JSON                                                                            \
	{                                                                                                \
		"o", "FORMAT", PD_OPTION_FORMAT, PD_BACKUP_AT(json), 0, 0,                               \
			"text (default) or json: a line for each step, the last one says\nhow it ended." \
	}
#define PD_BACKUP_EXIT_STATUSES                                                                 \
	"Exit status:\n"                                                                        \
	"  0  done\n"                                                                           \
	"  1  it failed: no such repository or backup, no room, no permission, somebody else\n" \
	"     writes to the repository\n"                                                       \
	"  2  the command line is wrong\n"                                                      \
	"  3  another process has the directory\n"                                              \
	"  4  damage was found, and named; or a newer Perdure wrote it"

/* Work with a repository that is there. */
struct pd_backup_work {
	const struct pd_options *options;
	struct pd_backup_given given;
	struct pd_os *os;
	struct pd_repository_place place; /* as it was given */
	struct pd_repository *repository;
	struct pd_output output;
	struct pd_progress progress;
	uint64_t told_ns; /* when the last line of progress was printed as JSON */
	const char *step; /* of these */
};

/* Parse the options; *ret_operand: the one word behind them, NULL: none. The machine is open then. false: end with *ret_status. */
bool pd_backup_work_begin(struct pd_backup_work *work, const struct pd_options *options, int argc,
			  char **argv, const char **ret_operand, int *ret_status);
/* Give everything back. Returns `status`, or that of an output that could not be written. */
int pd_backup_work_end(struct pd_backup_work *work, int status);
/* Say why it failed. Returns the exit status. */
int pd_backup_work_failed(const struct pd_backup_work *work, int result, const struct pd_error *err);
/* Open the repository. 0, or an exit status: then it has been said why. */
int pd_backup_work_open(struct pd_backup_work *work);

/* A path that a process in another directory understands; NULL stays NULL. To be freed. PD_INVALID: it is not known where we are; PD_NO_MEMORY. */
PD_MUST_CHECK int pd_backup_absolute_path(const char *path, char **ret_path, struct pd_error *err);
/* Where a directory can be made on trial: beside the repository, where there is room for what is in it, or where --scratch says. To be freed.
 * PD_INVALID: the repository is no directory, so that it has to be said; PD_NO_MEMORY. */
PD_MUST_CHECK int pd_backup_scratch_path(const struct pd_backup_work *work, char **ret_path,
					 struct pd_error *err);

/* Progress: of `step`, on a terminal as a bar, with JSON as lines. */
void pd_backup_progress_begin(struct pd_backup_work *work, const char *step);
void pd_backup_progress_tell(struct pd_backup_work *work, uint64_t done, uint64_t total);
void pd_backup_progress_end(struct pd_backup_work *work);
/* As pd_backup_watch has it; the context is the work. */
bool pd_backup_progress_watch(void *context, uint64_t done, uint64_t total);

/* Open an object of JSON that is a line: {"step": STEP. The caller closes it with pd_backup_line_end(). */
void pd_backup_line_begin(struct pd_backup_work *work, const char *step);
void pd_backup_line_end(struct pd_backup_work *work);

/* Where log is had that no backup has, as it was given. */
struct pd_backup_sources {
	struct pd_further *items[2];
	size_t count;
};
/* Close them in any case. Errors as pd_further_archive_new() and pd_further_log_new() have them. */
PD_MUST_CHECK int pd_backup_sources_open(const struct pd_backup_work *work,
					 const struct pd_backup_manifest *manifest,
					 struct pd_backup_sources *ret_sources, struct pd_error *err);
void pd_backup_sources_close(struct pd_backup_sources *sources);
/* What is taken of the backups, and then of each source; as backup/restore.h has `told`, the context is the work. */
void pd_backup_tell_backup(struct pd_backup_work *work, const struct pd_backup_manifest *plan);
void pd_backup_tell_gone_on(void *context, const struct pd_gone_on *gone);

/* ---- some actors of a backup: backup_actors.c ---- */
#define PD_BACKUP_OPTIONS_OF_ACTORS                                                                         \
	PD_BACKUP_OPTION("actor", "NAME", PD_OPTION_TEXT, actor,                                            \
			 "Only this actor, [TENANT/]NAME: with --into-server or --directory."),             \
		PD_BACKUP_OPTION("all", NULL, PD_OPTION_SWITCH, select.all,                                 \
				 "The same with all actors of the tenant \"default\"."),                    \
		PD_BACKUP_OPTION("tenant", "TENANT", PD_OPTION_TEXT, select.tenant,                         \
				 "The same with all of this tenant."),                                      \
		PD_BACKUP_OPTION("match", "PATTERN", PD_OPTION_TEXT, select.match,                          \
				 "The same with those whose names match, as in KEYS: 'user:*'."),           \
		PD_BACKUP_OPTION("into-server", "DIR", PD_OPTION_TEXT, into_server,                         \
				 "Into the server that runs on this data directory, under names that are\n" \
				 "free."),                                                                  \
		PD_BACKUP_OPTION("as", "NAME", PD_OPTION_TEXT, as,                                          \
				 "With --actor and --into-server: under this name."),                       \
		PD_BACKUP_OPTION("replace", NULL, PD_OPTION_SWITCH, replace,                                \
				 "With --into-server: in the place of the actors that have the names,\n"    \
				 "which can be undone."),                                                   \
		PD_BACKUP_OPTION("yes", NULL, PD_OPTION_SWITCH, select.yes, "Needed to replace several."),  \
		PD_BACKUP_OPTION("directory", "DIR", PD_OPTION_TEXT, directory,                             \
				 "Into this directory, which is made if need be, as 'perdure actor\n"       \
				 "export' has it: NAME.jsonl each."),                                       \
		PD_BACKUP_OPTION("scratch", "DIR", PD_OPTION_TEXT, scratch,                                 \
				 "With these: where everything is restored on trial (default: the\n"        \
				 "directory that the repository is in; needed where that is none).")
bool pd_backup_wants_actors(const struct pd_backup_given *given);
/* Do the options go together, and is the server there that is to take them? false: it is said why not; end with *ret_status. */
bool pd_backup_check_actors(const struct pd_backup_work *work, int *ret_status);
/* Take them out of the data directory that was made of the backups. Returns an exit status. */
int pd_backup_take_actors(const struct pd_backup_work *work, const char *data);

/* What `bulk` does not say of itself is as the options have it. Returns an exit status. */
int pd_backup_bulk_run(const struct pd_backup_work *work, struct pd_bulk *bulk);

/* ---- backups of some actors: backup_selected.c ---- */
/* "12 actors of tenant acme that match user:*" */
void pd_backup_print_selection(struct pd_output *output, const struct pd_backup_manifest *manifest);
/* The same as fields of an object; of another kind of backup none. */
void pd_backup_selection_fields(struct pd_output *output, const struct pd_backup_manifest *manifest);
/* A line about each, or an object. */
PD_MUST_CHECK int pd_backup_print_actors(struct pd_backup_work *work,
					 const struct pd_backup_manifest *manifest, struct pd_error *err);
/* Would each be taken by an import, with the hash that it had? As pd_backup_actors_check(). */
PD_MUST_CHECK int pd_backup_check_each(struct pd_backup_work *work, const struct pd_backup_manifest *manifest,
				       struct pd_error *err);
/* `perdure backup restore` of that one. Returns an exit status. */
int pd_backup_restore_selected(struct pd_backup_work *work, const char *id);

int pd_backup_full_run(int argc, char **argv);
int pd_backup_incremental_run(int argc, char **argv);
int pd_backup_differential_run(int argc, char **argv);
int pd_backup_log_run(int argc, char **argv);
int pd_backup_points_run(int argc, char **argv);
int pd_backup_expire_run(int argc, char **argv);
int pd_backup_key_run(int argc, char **argv);
int pd_backup_drill_run(int argc, char **argv);
int pd_backup_schedule_run(int argc, char **argv);
int pd_backup_list_run(int argc, char **argv);
int pd_backup_info_run(int argc, char **argv);
int pd_backup_verify_run(int argc, char **argv);
int pd_backup_restore_run(int argc, char **argv);

#endif
