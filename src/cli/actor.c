/* `perdure actor`: the actors of a running server, listed, described, dropped and given profiles. */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/admin.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/past.h"
#include "cli/verbs.h"
#include "server/server.h"
#include "wire/resp.h"

struct given {
	const char *data, *match, *tenant;
	const char *durability, *quota_keys, *quota_ops, *expire_after; /* as the server reads them */
	bool json, yes, clear;
};

#define OPTION_DATA                                                                   \
	{                                                                             \
		"data", "DIR", PD_OPTION_TEXT, offsetof(struct given, data), 0, 0,    \
			"Directory of the data (default: PERDURE_DATA, else ./data)." \
	}
#define OPTION_JSON                                                                  \
	{                                                                            \
		"o", "FORMAT", PD_OPTION_FORMAT, offsetof(struct given, json), 0, 0, \
			"text (default) or json."                                    \
	}

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

/* ---- ls ---- */

#define LS_COUNT "5000" /* names in one reply */

static const struct pd_option ls_table[] = {
	OPTION_DATA,
	{ "match", "PATTERN", PD_OPTION_TEXT, offsetof(struct given, match), 0, 0,
	  "Only names that match, as in KEYS: 'user:*'." },
	{ "tenant", "NAME", PD_OPTION_TEXT, offsetof(struct given, tenant), 0, 0,
	  "Whose actors (default: those of the tenant \"default\")." },
	OPTION_JSON,
};

static const struct pd_options ls_options = {
	.command = "perdure actor ls",
	.synopsis = "perdure actor ls [options]",
	.about =
		"Prints the names of the actors of a tenant, in the order in which they were made, one in a\n"
		"line. A name that is not plain text is printed as \"escaped\"; in JSON one that is not "
		"UTF-8 "
		"is\n{\"base64\": \"...\"}.",
	.table = ls_table,
	.count = sizeof ls_table / sizeof *ls_table,
	.environment_count = 1, /* PERDURE_DATA */
	.after = "Examples:\n"
		 "  perdure actor ls --data /var/lib/perdure --match 'session:*' | wc -l\n"
		 "  perdure actor ls -o json | jq -r '.[]'\n"
		 "\n" EXIT_STATUSES,
};

/* The names of one reply. */
static void print_names(struct pd_output *output, struct pd_slice *rest, bool json)
{
	struct pd_reply names = pd_reply_read(rest);

	for (size_t i = 0; names.kind == PD_REPLY_LIST && i < names.count; i++) {
		struct pd_slice name = pd_reply_read(rest).text;

		if (json) {
			pd_output_bytes_field(output, NULL, name);
		} else {
			pd_output_word(output, name);
			pd_output_text(output, "\n");
		}
	}
}

/* Page after page. A cursor is what the last reply began with. */
static int list(struct pd_admin *admin, const struct given *given, struct pd_output *output,
		struct pd_error *err)
{
	const char *words[] = { "PD.ACTOR", "LIST", "COUNT", LS_COUNT, "CURSOR", NULL,
				NULL,       NULL,   NULL,    NULL,     NULL };
	char cursor[24] = "0";
	size_t count = 6;
	int result = 0;

	words[5] = cursor;
	if (given->match != NULL) {
		words[count++] = "MATCH";
		words[count++] = given->match;
	}
	if (given->tenant != NULL) {
		words[count++] = "TENANT";
		words[count++] = given->tenant;
	}
	do {
		struct pd_slice reply, text;

		result = pd_admin_ask(admin, words, &reply, err);
		if (result != 0)
			break;
		(void)pd_reply_read(&reply);
		text = pd_reply_read(&reply).text;
		(void)snprintf(cursor, sizeof cursor, "%.*s", text.size < 23 ? (int)text.size : 23,
			       (const char *)text.data);
		print_names(output, &reply, given->json);
	} while (strcmp(cursor, "0") != 0);
	return result;
}

static int run_ls(int argc, char **argv)
{
	struct pd_output output = { .file = stdout };
	struct given given = { .data = "./data" };
	struct pd_error err = { 0 };
	struct pd_admin admin;
	int status;

	if (!pd_options_take(&ls_options, argc, argv, &given, &status))
		return status;
	status = pd_admin_begin(&admin, &ls_options, given.data, NULL, NULL);
	if (status == PD_EXIT_OK) {
		if (given.json)
			pd_output_open(&output, NULL, '[');
		if (list(&admin, &given, &output, &err) != 0) {
			status = failed(&ls_options, &err);
		} else if (given.json) {
			pd_output_close(&output, ']');
			pd_output_end(&output);
		}
		if (!pd_output_finish(&output))
			status = PD_EXIT_FAILURE;
	}
	pd_admin_end(&admin);
	return status;
}

/* ---- show ---- */

static const struct pd_option show_table[] = { OPTION_DATA, OPTION_JSON };

static const struct pd_options show_options = {
	.command = "perdure actor show",
	.synopsis = "perdure actor show [options] [TENANT/]NAME",
	.about = "Says what is known of an actor: what it holds, when it was made, how durable its writes "
		 "are and "
		 "by\nwhose word, and whether damage has taken records of it.",
	.table = show_table,
	.count = sizeof show_table / sizeof *show_table,
	.environment_count = 1, /* PERDURE_DATA */
	.after = "Examples:\n"
		 "  perdure actor show user:42\n"
		 "  perdure actor show -o json acme/main | jq .keys\n"
		 "\n" EXIT_STATUSES,
};

/* Parse the options and the one name behind them. false: end with *ret_status. */
static bool take_name(const struct pd_options *options, int argc, char **argv, struct given *given,
		      const char **ret_name, int *ret_status)
{
	int operand = argc;

	*ret_status = PD_EXIT_USAGE;
	switch (pd_options_parse(options, argc, argv, given, &operand)) {
	case PD_OPTIONS_HELPED:
		*ret_status = PD_EXIT_OK;
		return false;
	case PD_OPTIONS_WRONG:
		return false;
	case PD_OPTIONS_PARSED:
		break;
	}
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

/* A field of any kind. */
static void print_field(struct pd_output *output, struct pd_slice name, struct pd_slice *rest, bool json)
{
	struct pd_reply value = pd_reply_read(rest);
	char text[64];

	(void)snprintf(text, sizeof text, "%.*s", name.size < 63 ? (int)name.size : 63,
		       (const char *)name.data);
	if (json && value.kind == PD_REPLY_TEXT) {
		pd_output_bytes_field(output, text, value.text);
	} else if (json) {
		pd_output_number_field(output, text, (uint64_t)value.integer);
	} else {
		pd_output_text(output, "%-18s ", text);
		if (value.kind == PD_REPLY_TEXT)
			pd_output_word(output, value.text);
		else
			pd_output_text(output, "%" PRId64, value.integer);
		pd_output_text(output, "\n");
	}
}

static void print_info(struct pd_output *output, struct pd_slice reply, bool json)
{
	struct pd_reply map = pd_reply_read(&reply);

	if (json)
		pd_output_open(output, NULL, '{');
	for (size_t i = 0; map.kind == PD_REPLY_LIST && i + 1 < map.count; i += 2) {
		struct pd_slice name = pd_reply_read(&reply).text;

		print_field(output, name, &reply, json);
	}
	if (json) {
		pd_output_close(output, '}');
		pd_output_end(output);
	}
}

static int run_show(int argc, char **argv)
{
	const char *words[] = { "PD.ACTOR", "INFO", NULL, NULL };
	struct pd_output output = { .file = stdout };
	struct given given = { .data = "./data" };
	struct pd_slice reply;
	struct pd_admin admin;
	int status;

	if (!take_name(&show_options, argc, argv, &given, &words[2], &status))
		return status;
	status = pd_admin_begin(&admin, &show_options, given.data, words, &reply);
	if (status == PD_EXIT_OK) {
		print_info(&output, reply, given.json);
		status = pd_output_finish(&output) ? PD_EXIT_OK : PD_EXIT_FAILURE;
	}
	pd_admin_end(&admin);
	return status;
}

/* ---- drop ---- */

static const struct pd_option drop_table[] = {
	OPTION_DATA,
	{ "yes", NULL, PD_OPTION_SWITCH, offsetof(struct given, yes), 0, 0,
	  "Do not ask. Needed where nobody can be asked." },
	OPTION_JSON,
};

static const struct pd_options drop_options = {
	.command = "perdure actor drop",
	.synopsis = "perdure actor drop [options] [TENANT/]NAME",
	.about = "Drops an actor with everything that it has, in one transaction. Its name is free at once; "
		 "its "
		 "room on\ndisk comes back as the server compacts. On a terminal it asks first.",
	.table = drop_table,
	.count = sizeof drop_table / sizeof *drop_table,
	.environment_count = 1, /* PERDURE_DATA */
	.after = "Examples:\n"
		 "  perdure actor drop session:1234\n"
		 "  perdure actor ls --match 'tmp:*' | xargs -n 1 perdure actor drop --yes\n"
		 "\n" EXIT_STATUSES,
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

static int run_drop(int argc, char **argv)
{
	const char *words[] = { "PD.ACTOR", "INFO", NULL, NULL };
	struct given given = { .data = "./data" };
	struct pd_slice info;
	struct pd_admin admin;
	int status;

	if (!take_name(&drop_options, argc, argv, &given, &words[2], &status))
		return status;
	/* First whether it is there: a name misspelt is said before anything is asked. */
	status = pd_admin_begin(&admin, &drop_options, given.data, words, &info);
	if (status == PD_EXIT_OK && !given.yes)
		status = confirm(words[2], info);
	if (status == PD_EXIT_OK)
		status = drop(&admin, words[2], given.json);
	pd_admin_end(&admin);
	return status;
}

/* ---- profile ---- */

static const struct pd_option profile_table[] = {
	OPTION_DATA,
	{ "durability", "LEVEL", PD_OPTION_TEXT, offsetof(struct given, durability), 0, 0,
	  "Of writes that ask for none themselves; default: as the tenant or the server has it." },
	{ "quota-keys", "N", PD_OPTION_TEXT, offsetof(struct given, quota_keys), 0, 0,
	  "Keys that it may have; 0: no quota." },
	{ "quota-ops", "N", PD_OPTION_TEXT, offsetof(struct given, quota_ops), 0, 0,
	  "Operations a second; 0: no quota." },
	{ "expire-after", "SECONDS", PD_OPTION_TEXT, offsetof(struct given, expire_after), 0, 0,
	  "Drop it when nobody has written to it for so long; 0: never." },
	{ "clear", NULL, PD_OPTION_SWITCH, offsetof(struct given, clear), 0, 0,
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
	const char *words[14] = { "PD.ACTOR", "PROFILE" };
	struct given given = { .data = "./data" };
	struct pd_slice reply;
	struct pd_admin admin;
	size_t count = 3;
	int status;

	if (!take_name(&profile_options, argc, argv, &given, &words[2], &status))
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
					"what is to hold? Say --durability, --quota-keys, --expire-after, "
					"--quota-ops or --clear");
	status = pd_admin_begin(&admin, &profile_options, given.data, words, &reply);
	pd_admin_end(&admin);
	return status;
}

/* ---- the subcommands ---- */

static const struct pd_verb verbs[] = {
	{ "ls", "print the names of actors", run_ls },
	{ "show", "say what is known of an actor", run_show },
	{ "drop", "drop an actor with everything that it has", run_drop },
	{ "profile", "set its durability level and its quotas", run_profile },
	{ "history", "print the transactions that changed it", pd_cli_actor_history_run },
	{ "blame", "print which transactions wrote a key", pd_cli_actor_blame_run },
	{ "diff", "print what changed between two moments", pd_cli_actor_diff_run },
	{ "get", "print a key as it was at a moment", pd_cli_actor_get_run },
};

static int run(int argc, char **argv)
{
	static const struct pd_verbs actor = {
		.command = "perdure actor",
		.synopsis = "perdure actor ls|show|drop|profile|history|blame|diff|get [options] [NAME]",
		.about = "Looks after the actors of a running server, through the admin socket in its data "
			 "directory.\nTheir past (history, blame, diff, get) can be looked at without a "
			 "server, too.",
		.table = verbs,
		.count = sizeof verbs / sizeof *verbs,
		.after = "Examples:\n"
			 "  perdure actor ls --data /var/lib/perdure\n"
			 "  perdure actor show user:42\n"
			 "\n" EXIT_STATUSES,
	};

	return pd_verbs_run(&actor, argc, argv);
}

const struct pd_subcommand pd_subcommand_actor = { "actor", "list, show and drop actors, look at their past",
						   run };
