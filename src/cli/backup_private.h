/* What the subcommands of `perdure backup` share. */
#ifndef PD_CLI_BACKUP_PRIVATE_H
#define PD_CLI_BACKUP_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backup/manifest.h"
#include "backup/repository.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "os/os.h"

struct pd_backup_given {
	const char *data, *repository, *scratch, *at;
	uint64_t keep, keep_for_ms;
	bool json, all, quick, no_state, dry_run;
};

#define PD_BACKUP_AT(field) offsetof(struct pd_backup_given, field)
#define PD_BACKUP_OPTION_REPOSITORY                                                                      \
	{                                                                                                \
		"repository", "DIR", PD_OPTION_TEXT, PD_BACKUP_AT(repository), 0, 0,                     \
			"Directory of the backups (default: PERDURE_REPOSITORY).\nNot on the disk that " \
			"they are to outlive."                                                           \
	}
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

/* Where a directory can be made on trial: beside the repository, where there is room for what is in it, or where `scratch` says. NULL: out of
 * memory. */
char *pd_backup_scratch_path(const struct pd_backup_work *work);

/* Progress: of `step`, on a terminal as a bar, with JSON as lines. */
void pd_backup_progress_begin(struct pd_backup_work *work, const char *step);
void pd_backup_progress_tell(struct pd_backup_work *work, uint64_t done, uint64_t total);
void pd_backup_progress_end(struct pd_backup_work *work);
/* As pd_backup_watch has it; the context is the work. */
bool pd_backup_progress_watch(void *context, uint64_t done, uint64_t total);

/* Open an object of JSON that is a line: {"step": STEP. The caller closes it with pd_backup_line_end(). */
void pd_backup_line_begin(struct pd_backup_work *work, const char *step);
void pd_backup_line_end(struct pd_backup_work *work);

int pd_backup_full_run(int argc, char **argv);
int pd_backup_incremental_run(int argc, char **argv);
int pd_backup_log_run(int argc, char **argv);
int pd_backup_points_run(int argc, char **argv);
int pd_backup_expire_run(int argc, char **argv);
int pd_backup_drill_run(int argc, char **argv);
int pd_backup_list_run(int argc, char **argv);
int pd_backup_info_run(int argc, char **argv);
int pd_backup_verify_run(int argc, char **argv);
int pd_backup_restore_run(int argc, char **argv);

#endif
