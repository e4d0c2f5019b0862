/* `perdure actor`: actors, listed and described (actor_look.c), dropped and given profiles. */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/actor_bulk.h"
#include "cli/actor_private.h"
#include "cli/admin.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/past.h"
#include "cli/verbs.h"
#include "server/server.h"
#include "wire/resp.h"

#define EXIT_STATUSES                                                    \
	"Exit status:\n"                                                 \
	"  0  done\n"                                                    \
	"  1  no such actor, or no server is running on the directory\n" \
	"  2  the command line is wrong"

static int failed(const struct pd_options *options, const struct pd_error *err)
{
	(void)fprintf(stderr, "%s: %s\n", options->command, err->text);
	return PD_EXIT_FAILURE;
}

/* ---- the name ---- */

bool pd_actor_take_name(const struct pd_options *options, int argc, char **argv, struct pd_actor_given *given,
			const char **ret_name, int *ret_status)
{
	int operand = argc;

	if (!pd_options_begin(options, argc, argv, given, &operand, ret_status))
		return false;
	if (operand + 1 == argc && argv[operand][0] != '\0') {
		*ret_name = argv[operand];
		return true;
	}
	if (operand == argc)
		*ret_status = pd_options_wrong(options, "which actor? 'perdure actor ls' lists them");
	else if (operand + 1 == argc)
		*ret_status = pd_options_wrong(options, "an actor's name is not empty");
	else
		*ret_status = pd_options_wrong(options, "one actor at a time: unexpected word \"%s\"",
					       argv[operand + 1]);
	return false;
}

/* ---- drop ---- */

struct drop_given {
	const char *data;
	struct pd_bulk_given bulk;
	bool json;
};

static const struct pd_option drop_table[] = {
	{ "data", "DIR", PD_OPTION_TEXT, offsetof(struct drop_given, data), 0, 0,
	  "Directory of the data (default: PERDURE_DATA, else ./data)." },
	PD_BULK_OPTIONS(struct drop_given),
	{ "yes", NULL, PD_OPTION_SWITCH, offsetof(struct drop_given, bulk.yes), 0, 0,
	  "Do not ask. Needed where nobody can be asked, and for several: without it they are only\n"
	  "counted and told." },
	PD_BULK_OPTION_JSON(struct drop_given),
};

static const struct pd_options drop_options = {
	.command = "perdure actor drop",
	.synopsis = "perdure actor drop [options] [TENANT/]NAME | --all | --tenant TENANT | --match PATTERN",
	.about = "Drops an actor with everything that it has, in one transaction. Its name is free at once; "
		 "its "
		 "room on\ndisk comes back as the server compacts. On a terminal it asks first. 'perdure "
		 "actor "
		 "undrop' brings\nit back, while retention keeps its past.\n\n" PD_BULK_ABOUT,
	.table = drop_table,
	.count = sizeof drop_table / sizeof *drop_table,
	.environment_count = 1, /* PERDURE_DATA */
	.after = "Examples:\n"
		 "  perdure actor drop session:1234\n"
		 "  perdure actor drop --match 'tmp:*' --yes\n"
		 "\n" PD_BULK_STATUSES,
};

/* 0: go on; else an exit status. */
static int confirm(const char *name, struct pd_slice info)
{
	uint64_t keys = pd_admin_number(info, "keys");
	char answer[16];

	if (isatty(STDIN_FILENO) != 1 || isatty(STDERR_FILENO) != 1)
		return pd_options_wrong(&drop_options,
					"there is no terminal to ask on: say --yes to drop it");
	(void)fprintf(stderr, "Drop actor %s with its %" PRIu64 " key%s? [y/N] ", name, keys,
		      keys == 1 ? "" : "s");
	if (fgets(answer, sizeof answer, stdin) == NULL || (answer[0] != 'y' && answer[0] != 'Y')) {
		(void)fprintf(stderr, "Nothing was dropped.\n");
		return PD_EXIT_FAILURE;
	}
	return PD_EXIT_OK;
}

static int drop(struct pd_admin *admin, const char *name, bool json)
{
	const char *words[] = { "PD.ACTOR", "DROP", name, NULL };
	struct pd_output output = { .file = stdout };
	struct pd_error err = { 0 };
	struct pd_slice reply;
	bool dropped;

	if (pd_admin_ask(admin, words, &reply, &err) != 0)
		return failed(&drop_options, &err);
	dropped = pd_reply_read(&reply).integer == 1;
	if (!dropped) {
		(void)pd_error_set(&err, PD_NOT_FOUND, "there is no actor '%s' any more", name);
		return failed(&drop_options, &err);
	}
	if (json) {
		pd_output_open(&output, NULL, '{');
		pd_output_bytes_field(&output, "dropped", pd_slice_string(name));
		pd_output_close(&output, '}');
		pd_output_end(&output);
	}
	return pd_output_finish(&output) ? PD_EXIT_OK : PD_EXIT_FAILURE;
}

static int drop_one(const struct pd_bulk *bulk, struct pd_cli_past *past, struct pd_slice name,
		    struct pd_bulk_result *result, struct pd_error *err)
{
	int code = pd_bulk_ask(bulk, past, name, result, err);
	struct pd_slice reply = pd_buffer_slice(&result->reply);

	if (code == 0 && pd_reply_read(&reply).integer == 0)
		result->outcome = PD_BULK_UNCHANGED;
	return code;
}

static int drop_several(const struct drop_given *given)
{
	struct pd_bulk bulk = { .options = &drop_options,
				.given = &given->bulk,
				.data = given->data,
				.doing = "dropping",
				.done = "dropped",
				.json = given->json,
				.needs_yes = true,
				.verb = "DROP",
				.carry_out = drop_one };

	return pd_bulk_run(&bulk);
}

static int run_drop(int argc, char **argv)
{
	const char *words[] = { "PD.ACTOR", "INFO", NULL, NULL };
	struct drop_given given = { .data = "./data", .bulk = PD_BULK_DEFAULTS };
	struct pd_slice info;
	struct pd_admin admin;
	int status;

	if (!pd_bulk_take(&drop_options, argc, argv, &given, &given.bulk, NULL, &words[2], NULL, &status))
		return status;
	if (pd_bulk_is_asked(&given.bulk))
		return drop_several(&given);
	if (given.bulk.dry_run)
		return pd_options_wrong(&drop_options, PD_BULK_DRY_ALONE);
	/* First whether it is there: a name misspelt is said before anything is asked. */
	status = pd_admin_begin(&admin, &drop_options, given.data, words, &info);
	if (status == PD_EXIT_OK && !given.bulk.yes)
		status = confirm(words[2], info);
	if (status == PD_EXIT_OK)
		status = drop(&admin, words[2], given.json);
	pd_admin_end(&admin);
	return status;
}

/* ---- profile ---- */

static const struct pd_option profile_table[] = {
	PD_ACTOR_DATA,
	{ "durability", "LEVEL", PD_OPTION_TEXT, offsetof(struct pd_actor_given, durability), 0, 0,
	  "Of writes that ask for none themselves; default: as the tenant or the server has it." },
	{ "quota-keys", "N", PD_OPTION_TEXT, offsetof(struct pd_actor_given, quota_keys), 0, 0,
	  "Keys that it may have; 0: no quota." },
	{ "quota-bytes", "N", PD_OPTION_TEXT, offsetof(struct pd_actor_given, quota_bytes), 0, 0,
	  "Bytes of keys and values that it may have; 0: no quota." },
	{ "quota-ops", "N", PD_OPTION_TEXT, offsetof(struct pd_actor_given, quota_ops), 0, 0,
	  "Operations a second; 0: no quota." },
	{ "expire-after", "SECONDS", PD_OPTION_TEXT, offsetof(struct pd_actor_given, expire_after), 0, 0,
	  "Drop it when nobody has written to it for so long; 0: never." },
	{ "clear", NULL, PD_OPTION_SWITCH, offsetof(struct pd_actor_given, clear), 0, 0,
	  "Take everything away that was set before." },
};

static const struct pd_options profile_options = {
	.command = "perdure actor profile",
	.synopsis = "perdure actor profile [options] [TENANT/]NAME",
	.about = "Sets what holds for an actor, whoever writes: its durability level and its quotas. What is "
		 "not "
		 "named\nstays as it is; 'perdure actor show' tells it.",
	.table = profile_table,
	.count = sizeof profile_table / sizeof *profile_table,
	.environment_count = 1, /* PERDURE_DATA */
	.after = "Examples:\n"
		 "  perdure actor profile --quota-keys 10000 --quota-ops 500 user:42\n"
		 "  perdure actor profile --durability default user:42\n"
		 "\n" EXIT_STATUSES,
};

static int run_profile(int argc, char **argv)
{
	const char *words[16] = { "PD.ACTOR", "PROFILE" };
	struct pd_actor_given given = { .data = "./data" };
	struct pd_slice reply;
	struct pd_admin admin;
	size_t count = 3;
	int status;

	if (!pd_actor_take_name(&profile_options, argc, argv, &given, &words[2], &status))
		return status;
	if (given.clear)
		words[count++] = "CLEAR";
	if (given.durability != NULL) {
		words[count++] = "DURABILITY";
		words[count++] = given.durability;
	}
	if (given.quota_keys != NULL) {
		words[count++] = "QUOTA-KEYS";
		words[count++] = given.quota_keys;
	}
	if (given.quota_bytes != NULL) {
		words[count++] = "QUOTA-BYTES";
		words[count++] = given.quota_bytes;
	}
	if (given.quota_ops != NULL) {
		words[count++] = "QUOTA-OPS";
		words[count++] = given.quota_ops;
	}
	if (given.expire_after != NULL) {
		words[count++] = "EXPIRE-AFTER";
		words[count++] = given.expire_after;
	}
	if (count == 3)
		return pd_options_wrong(&profile_options,
					"what is to hold? Say --durability, --quota-keys, --quota-bytes, "
					"--quota-ops, --expire-after or --clear");
	status = pd_admin_begin(&admin, &profile_options, given.data, words, &reply);
	pd_admin_end(&admin);
	return status;
}

/* ---- the subcommands ---- */

static const struct pd_verb verbs[] = {
	{ "ls", "print the names of actors", pd_actor_list_run },
	{ "show", "say what is known of an actor", pd_actor_show_run },
	{ "drop", "drop an actor with everything that it has", run_drop },
	{ "profile", "set its durability level and its quotas", run_profile },
	{ "history", "print the transactions that changed it", pd_cli_actor_history_run },
	{ "replay", "hand all that was done to a program", pd_cli_actor_replay_run },
	{ "blame", "print which transactions wrote a key", pd_cli_actor_blame_run },
	{ "diff", "print what changed between two moments", pd_cli_actor_diff_run },
	{ "get", "print a key as it was at a moment", pd_cli_actor_get_run },
	{ "fork", "make another of what it had at a moment", pd_actor_fork_run },
	{ "restore", "make it again what it was at a moment", pd_actor_restore_run },
	{ "revert", "undo what one transaction did to it", pd_actor_revert_run },
	{ "undrop", "bring back one that was dropped", pd_actor_undrop_run },
	{ "snapshot", "keep a moment of it under a name", pd_actor_snapshot_run },
	{ "snapshots", "list the moments that are kept", pd_actor_snapshots_run },
	{ "unsnapshot", "let a kept moment go", pd_actor_unsnapshot_run },
	{ "verify", "read a snapshot and compare its hash", pd_actor_verify_run },
	{ "relate", "relate it to another", pd_actor_relate_run },
	{ "unrelate", "end a relation", pd_actor_unrelate_run },
	{ "relations", "print what it is related to", pd_actor_relations_run },
	{ "export", "write what it had at a moment into a file", pd_actor_export_run },
	{ "import", "make one of such a file", pd_actor_import_run },
};

static const struct pd_verb_alias aliases[] = { { "list", "ls" }, { "remove", "drop" }, { NULL, NULL } };

static int run(int argc, char **argv)
{
	static const struct pd_verbs actor = {
		.command = "perdure actor",
		.synopsis = "perdure actor SUBCOMMAND [options] [NAME]",
		.about = "Looks after the actors of a data directory, through the admin socket of the server "
			 "that has it.\n'ls', 'show' and what looks at their past (history, replay, blame, "
			 "diff, get, export)\nwork without a server, too.",
		.table = verbs,
		.count = sizeof verbs / sizeof *verbs,
		.aliases = aliases,
		.after = "Examples:\n"
			 "  perdure actor ls --data /var/lib/perdure\n"
			 "  perdure actor show user:42\n"
			 "\n"
			 "Exit status:\n"
			 "  0  done\n"
			 "  1  no such actor, or no server for what needs one\n"
			 "  2  the command line is wrong\n"
			 "Each says its others itself.",
	};

	return pd_verbs_run(&actor, argc, argv);
}

const struct pd_subcommand pd_subcommand_actor = { "actor", "list, show and drop actors, look at their past",
						   run };
