/* What the subcommands of `perdure archive` share. */
#ifndef PD_CLI_ARCHIVE_PRIVATE_H
#define PD_CLI_ARCHIVE_PRIVATE_H

#include <stddef.h>

#include "archive/format.h"
#include "cli/options.h"
#include "os/os.h"
#include "provider/object_store.h"

int pd_cli_archive_ls_run(int argc, char **argv);
int pd_cli_archive_verify_run(int argc, char **argv);
int pd_cli_archive_fetch_run(int argc, char **argv);
int pd_cli_archive_expire_run(int argc, char **argv);
int pd_cli_archive_hold_run(int argc, char **argv);
int pd_cli_archive_release_run(int argc, char **argv);
int pd_cli_archive_holds_run(int argc, char **argv);
int pd_cli_archive_export_run(int argc, char **argv);
int pd_cli_archive_check_export_run(int argc, char **argv);

#define PD_CLI_ARCHIVE_EXIT_STATUSES                                                                  \
	"Exit status:\n"                                                                              \
	"  0  done, and nothing is damaged\n"                                                         \
	"  1  it could not be done: no such archive, nothing of the log in it, a disk that is full\n" \
	"  2  the command line is wrong\n"                                                            \
	"  4  objects are damaged or missing, or a newer version of Perdure wrote them"

/* An archive that is looked at without a server. */
struct pd_cli_archive {
	struct pd_os *os;
	struct pd_object_store *store;
	struct pd_archive_log log;
	size_t logs; /* that are there */
};

struct pd_cli_archive_given {
	const char *archive, *cluster;
	const char *s3_endpoint, *s3_region, *s3_style, *s3_ca_file;
	const char *to, *onto; /* of fetch */
	uint64_t to_lsn;
	uint64_t older_than_ms; /* of expire */
	bool dry_run;
	const char *why; /* of hold */
	/* Of export; `to` is where it goes. */
	bool open;
	uint64_t every_ms;
	const char *scratch;
	bool json;
};

/* The first PD_CLI_ARCHIVE_ENVIRONMENT of them count in the environment, too. */
#define PD_CLI_ARCHIVE_ENVIRONMENT 5
#define PD_CLI_ARCHIVE_OPTIONS                                                                          \
	{ "archive",                                                                                    \
	  "ADDRESS",                                                                                    \
	  PD_OPTION_TEXT,                                                                               \
	  offsetof(struct pd_cli_archive_given, archive),                                               \
	  0,                                                                                            \
	  0,                                                                                            \
	  "The archive: what the server has as --archive (default: PERDURE_ARCHIVE)." },                \
		{ "s3-endpoint",                                                                        \
		  "URL",                                                                                \
		  PD_OPTION_TEXT,                                                                       \
		  offsetof(struct pd_cli_archive_given, s3_endpoint),                                   \
		  0,                                                                                    \
		  0,                                                                                    \
		  "Where it is in S3, the service (default: PERDURE_S3_ENDPOINT, else AWS)." },         \
		{ "s3-region",                                                                          \
		  "REGION",                                                                             \
		  PD_OPTION_TEXT,                                                                       \
		  offsetof(struct pd_cli_archive_given, s3_region),                                     \
		  0,                                                                                    \
		  0,                                                                                    \
		  "Its region (default: PERDURE_S3_REGION, else as AWS's own tools have it)." },        \
		{ "s3-style",                                                                           \
		  "STYLE",                                                                              \
		  PD_OPTION_TEXT,                                                                       \
		  offsetof(struct pd_cli_archive_given, s3_style),                                      \
		  0,                                                                                    \
		  0,                                                                                    \
		  "Where the bucket is named: auto, path or virtual (default auto)." },                 \
		{ "s3-ca-file",                                                                         \
		  "FILE",                                                                               \
		  PD_OPTION_TEXT,                                                                       \
		  offsetof(struct pd_cli_archive_given, s3_ca_file),                                    \
		  0,                                                                                    \
		  0,                                                                                    \
		  "Who vouches for the service, as PEM." },                                             \
		{ "cluster",                                                                            \
		  "ID",                                                                                 \
		  PD_OPTION_TEXT,                                                                       \
		  offsetof(struct pd_cli_archive_given, cluster),                                       \
		  0,                                                                                    \
		  0,                                                                                    \
		  "Whose log, where the archive has several: the first digits of its cluster id do." }, \
	{                                                                                               \
		"o", "FORMAT", PD_OPTION_FORMAT, offsetof(struct pd_cli_archive_given, json), 0, 0,     \
			"text (default) or json."                                                       \
	}

/* Open it and find the log. 0, or an exit status: then it has said why on standard error. Close it in any case. */
int pd_cli_archive_open(struct pd_cli_archive *archive, const struct pd_options *options,
			const struct pd_cli_archive_given *given);
void pd_cli_archive_close(struct pd_cli_archive *archive);
/* Say the error on standard error; the exit status for it. */
int pd_cli_archive_failed(const struct pd_options *options, const struct pd_error *err);

#endif
