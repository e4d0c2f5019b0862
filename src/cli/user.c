/* `perdure user`: who may come in. Through the server if one is running on the directory, else in the directory itself. */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "cli/admin.h"
#include "cli/cli.h"
#include "cli/look.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/password.h"
#include "cli/user_store.h"
#include "cli/verbs.h"
#include "server/server.h"
#include "wire/resp.h"

#define EXIT_STATUSES                                                                         \
	"Exit status:\n"                                                                      \
	"  0  done\n"                                                                         \
	"  1  it failed; nothing has changed\n"                                               \
	"  2  the command line is wrong, or the change would not do\n"                        \
	"  3  another process has the directory, and it is no server that can be talked to\n" \
	"  4  the data directory is damaged, or was written by a newer version"

struct given {
	const char *data, *role, *tenant, *password_file;
	bool json;
};

#define DATA                                                                          \
	{                                                                             \
		"data", "DIR", PD_OPTION_TEXT, offsetof(struct given, data), 0, 0,    \
			"Directory of the data (default: PERDURE_DATA, else ./data)." \
	}
#define ROLE                                                                                       \
	{                                                                                          \
		"role", "ROLE", PD_OPTION_TEXT, offsetof(struct given, role), 0, 0,                \
			"read-only: no command that writes or administers. read-write: none that " \
			"administers.\n"                                                           \
			"admin: everything."                                                       \
	}
#define TENANT                                                                                             \
	{                                                                                                  \
		"tenant", "TENANT", PD_OPTION_TEXT, offsetof(struct given, tenant), 0, 0,                  \
			"The tenant that the user is at home in (default: default). All but admins reach " \
			"no other."                                                                        \
	}
#define PASSWORD_FILE                                                                                 \
	{                                                                                             \
		"password-file", "FILE", PD_OPTION_TEXT, offsetof(struct given, password_file), 0, 0, \
			"Take the password from the first line of a file. Else it is asked for on a " \
			"terminal, or\n"                                                              \
			"read from standard input."                                                   \
	}

static const struct pd_option add_table[] = { DATA, ROLE, TENANT, PASSWORD_FILE };
static const struct pd_option change_table[] = { DATA, ROLE, TENANT };
static const struct pd_option password_table[] = { DATA, PASSWORD_FILE };
static const struct pd_option name_table[] = { DATA };
static const struct pd_option list_table[] = {
	DATA,
	{ "o", "FORMAT", PD_OPTION_FORMAT, offsetof(struct given, json), 0, 0, "text (default) or json." },
};

#define OPTIONS(verb, operands_, about_, table_)                                              \
	{                                                                                     \
		.command = "perdure user " verb,                                              \
		.synopsis = "perdure user " verb " " operands_ " [options]", .about = about_, \
		.table = table_, .count = sizeof(table_) / sizeof *(table_),                  \
		.environment_count = 1, /* PERDURE_DATA */                                    \
			.after = EXIT_STATUSES,                                               \
	}

static const struct pd_options add_options = OPTIONS(
	"add", "NAME",
	"Makes a user who may log in. The first one has to be an admin: from then on everybody has to log\n"
	"in, but for this machine's operator on the admin socket.",
	add_table);
static const struct pd_options change_options = OPTIONS(
	"change", "NAME", "Gives a user another role or tenant, and closes the user's connections.",
	change_table);
static const struct pd_options password_options = OPTIONS(
	"password", "NAME", "Gives a user another password, and closes the user's connections.",
	password_table);
static const struct pd_options enable_options = OPTIONS("enable", "NAME", "Lets a user log in again.",
							name_table);
static const struct pd_options disable_options = OPTIONS(
	"disable", "NAME", "Lets a user log in no more, and closes the user's connections.", name_table);
static const struct pd_options remove_options = OPTIONS(
	"drop", "NAME", "Removes a user, and closes the user's connections.", name_table);
static const struct pd_options list_options = OPTIONS("ls", "", "Lists the users and their roles.",
						      list_table);

/* ---- a change, either way ---- */

struct change {
	const char *name;
	bool is_new, removes;
	const char *on;                          /* "on", "off"; NULL: as it was */
	const char *role;                        /* NULL: as it was */
	const char *tenant;                      /* NULL: as it was */
	char password[PD_USER_PASSWORD_MAX + 2]; /* "": as it was */
};

static int ask_server(struct pd_admin *admin, const struct change *change, struct pd_error *err)
{
	char password[sizeof change->password + 1], tenant[PD_NAME_SIZE_MAX + 16];
	const char *words[9] = { "ACL", "GETUSER", change->name };
	struct pd_slice reply;
	size_t count = 3;
	int result = pd_admin_ask(admin, words, &reply, err);
	bool is_there;

	if (result != 0)
		return result;
	is_there = pd_reply_read(&reply).kind != PD_REPLY_NULL;
	if (is_there == change->is_new)
		return is_there ? pd_error_set(err, PD_EXISTS, "there is a user %s already", change->name)
				: pd_error_set(err, PD_NOT_FOUND, "there is no user %s", change->name);
	words[1] = change->removes ? "DELUSER" : "SETUSER";
	if (change->on != NULL)
		words[count++] = change->on;
	if (change->role != NULL)
		words[count++] = change->role;
	if (change->tenant != NULL) {
		(void)snprintf(tenant, sizeof tenant, "tenant=%s", change->tenant);
		words[count++] = tenant;
	}
	(void)snprintf(password, sizeof password, ">%s", change->password);
	if (change->password[0] != '\0')
		words[count++] = password;
	words[count] = NULL;
	result = pd_admin_ask(admin, words, &reply, err);
	pd_crypto_wipe(password, sizeof password);
	return result;
}

/* The user as the change makes it. */
static int make_user(struct pd_user_store *store, const struct change *change, struct pd_user *user,
		     struct pd_error *err)
{
	const struct pd_user *known = pd_users_find(&store->users, pd_slice_string(change->name));
	int result = 0;

	if ((known != NULL) == change->is_new)
		return known != NULL
			       ? pd_error_set(err, PD_EXISTS, "there is a user %s already", change->name)
			       : pd_error_set(err, PD_NOT_FOUND, "there is no user %s", change->name);
	*user = (struct pd_user){ .role = PD_ROLE_READ_ONLY, .tenant = "default" };
	if (known != NULL)
		*user = *known;
	(void)snprintf(user->name, sizeof user->name, "%s", change->name);
	if (change->on != NULL)
		user->enabled = strcmp(change->on, "on") == 0;
	if (change->role != NULL && !pd_role_parse(pd_slice_string(change->role), &user->role))
		return pd_error_set(err, PD_INVALID, "there is no role %s", change->role);
	if (change->tenant != NULL)
		(void)snprintf(user->tenant, sizeof user->tenant, "%s", change->tenant);
	if (change->password[0] == '\0')
		return 0;
	user->has_password = true;
	pd_os_random(store->os, user->verifier.salt, sizeof user->verifier.salt);
	pd_os_random(store->os, user->verifier.scram_salt, sizeof user->verifier.scram_salt);
	result = pd_verifier_make(&user->verifier, pd_slice_string(change->password));
	return result == 0 ? 0 : pd_error_set(err, result, "out of memory for the password");
}

static int change_store(struct pd_user_store *store, const struct change *change, struct pd_error *err)
{
	struct pd_receipt receipt = { 0 };
	struct pd_user user = { 0 };
	int result = make_user(store, change, &user, err);

	if (result == 0)
		result = pd_users_check_change(&store->users, change->removes ? NULL : &user,
					       change->removes ? change->name : NULL, err);
	if (result == 0 && change->removes)
		result = pd_users_remove(&store->users, store->engine, store->session,
					 pd_slice_string(change->name), &receipt, err);
	else if (result == 0)
		result = pd_users_put(&store->users, store->engine, store->session, &user, &receipt, err);
	pd_crypto_wipe(&user, sizeof user);
	return result == 0 ? pd_user_store_settle(store, &receipt, err) : result;
}

static int change_directory(const char *data, struct pd_os *os, const struct change *change,
			    struct pd_error *err)
{
	struct pd_user_store store;
	struct pd_error close_err;
	int result = pd_user_store_open(&store, os, data, err), closed;

	if (result == 0)
		result = change_store(&store, change, err);
	closed = pd_user_store_close(&store, &close_err);
	if (result == 0 && closed != 0)
		result = pd_error_set(err, closed, "%s", close_err.text);
	return result;
}

static int status_of(const struct pd_options *options, int result, const struct pd_error *err)
{
	if (result == 0)
		return PD_EXIT_OK;
	(void)fprintf(stderr, "%s: %s\n", options->command, err->text);
	return result == PD_INVALID || result == PD_EXISTS || result == PD_NOT_FOUND
		       ? PD_EXIT_USAGE
		       : pd_server_exit_status(result);
}

/* Through the server that has the directory, or without one. */
static int carry_out(const struct pd_options *options, const struct given *given, struct pd_os *os,
		     const struct change *change)
{
	struct pd_error err = { 0 };
	struct pd_admin admin;
	int result = pd_admin_open(&admin, os, given->data, &err);

	if (result == 0)
		result = ask_server(&admin, change, &err);
	else if (result == PD_NOT_FOUND || result == PD_TOO_LARGE)
		result = change_directory(given->data, os, change, &err);
	pd_admin_close(&admin);
	return status_of(options, result, &err);
}

/* ---- verbs with a name ---- */

/* The options and the one name behind them. false: end with *ret_status. */
static bool take(const struct pd_options *options, int argc, char **argv, struct given *given,
		 const char **ret_name, int *ret_status)
{
	struct pd_error err;
	int operand;

	*given = (struct given){ .data = "./data" };
	if (!pd_options_begin(options, argc, argv, given, &operand, ret_status))
		return false;
	if (operand + 1 != argc) {
		*ret_status = pd_options_wrong(options, "it takes one NAME");
		return false;
	}
	*ret_name = argv[operand];
	if (pd_user_check_name(pd_slice_string(*ret_name), &err) == 0)
		return true;
	*ret_status = pd_options_wrong(options, "%s", err.text);
	return false;
}

static bool check(const struct pd_options *options, const struct given *given)
{
	enum pd_role role;

	if (given->role != NULL && !pd_role_parse(pd_slice_string(given->role), &role)) {
		(void)pd_options_wrong(options, "--role is read-only, read-write or admin, not \"%s\"",
				       given->role);
		return false;
	}
	if (given->tenant != NULL && (given->tenant[0] == '\0' || strlen(given->tenant) > PD_NAME_SIZE_MAX ||
				      given->tenant[strcspn(given->tenant, "{}/ \t\n")] != '\0')) {
		(void)pd_options_wrong(options, "--tenant has 1 to %u bytes, none of them a space, {, } or /",
				       PD_NAME_SIZE_MAX);
		return false;
	}
	return true;
}

static int run_change(const struct pd_options *options, int argc, char **argv, struct change *change,
		      bool wants_password)
{
	struct pd_os *os = NULL;
	struct given given;
	struct pd_error err;
	int status;

	if (!take(options, argc, argv, &given, &change->name, &status))
		return status;
	if (!check(options, &given))
		return PD_EXIT_USAGE;
	change->role = given.role;
	change->tenant = given.tenant;
	if (pd_os_real_new(&os, &err) != 0)
		return status_of(options, PD_NO_MEMORY, &err);
	status = PD_EXIT_OK;
	if (wants_password) {
		int result = pd_password_read(os, given.password_file, change->password,
					      sizeof change->password, &err);

		if (result == 0)
			result = pd_user_check_password(pd_slice_string(change->password), &err);
		status = status_of(options, result, &err);
	}
	if (status == PD_EXIT_OK)
		status = carry_out(options, &given, os, change);
	pd_crypto_wipe(change, sizeof *change);
	pd_os_free(os);
	return status;
}

static int run_add(int argc, char **argv)
{
	struct change change = { .is_new = true, .on = "on" };

	return run_change(&add_options, argc, argv, &change, true);
}

static int run_set(int argc, char **argv)
{
	struct change change = { 0 };

	return run_change(&change_options, argc, argv, &change, false);
}

static int run_password(int argc, char **argv)
{
	struct change change = { 0 };

	return run_change(&password_options, argc, argv, &change, true);
}

static int run_enable(int argc, char **argv)
{
	struct change change = { .on = "on" };

	return run_change(&enable_options, argc, argv, &change, false);
}

static int run_disable(int argc, char **argv)
{
	struct change change = { .on = "off" };

	return run_change(&disable_options, argc, argv, &change, false);
}

static int run_remove(int argc, char **argv)
{
	struct change change = { .removes = true };

	return run_change(&remove_options, argc, argv, &change, false);
}

/* ---- list ---- */

static void print_user(struct pd_output *output, bool json, struct pd_slice name, bool on, bool password,
		       struct pd_slice role, struct pd_slice tenant)
{
	if (!json) {
		pd_output_text(output, "%-20.*s %-10.*s %-20.*s %s\n", (int)name.size,
			       (const char *)name.data, (int)role.size, (const char *)role.data,
			       (int)tenant.size, (const char *)tenant.data,
			       !on        ? "disabled"
			       : password ? ""
					  : "no password");
		return;
	}
	pd_output_open(output, NULL, '{');
	pd_output_bytes_field(output, "name", name);
	pd_output_bytes_field(output, "role", role);
	pd_output_bytes_field(output, "tenant", tenant);
	pd_output_bool_field(output, "enabled", on);
	pd_output_bool_field(output, "password", password);
	pd_output_close(output, '}');
}

static int list_from_server(struct pd_admin *admin, struct pd_output *output, bool json, struct pd_error *err)
{
	const char *const words[] = { "ACL", "LIST", NULL };
	struct pd_slice reply;
	size_t count;
	int result = pd_admin_ask(admin, words, &reply, err);

	if (result != 0)
		return result;
	/* "user NAME on|off password|nopassword ROLE tenant=TENANT" */
	count = pd_reply_read(&reply).count;
	for (size_t i = 0; i < count; i++) {
		struct pd_slice line = pd_reply_read(&reply).text, fields[6] = { 0 };

		for (size_t f = 0; f < 6 && line.size > 0; f++) {
			const uint8_t *space = memchr(line.data, ' ', line.size);
			size_t size = space != NULL ? (size_t)(space - line.data) : line.size;

			fields[f] = pd_slice(line.data, size);
			size += size < line.size;
			line = pd_slice(line.data + size, line.size - size);
		}
		if (fields[5].size < strlen("tenant="))
			return pd_error_set(err, PD_INVALID, "the server's list of users makes no sense");
		print_user(output, json, fields[1], pd_slice_equal(fields[2], pd_slice_string("on")),
			   pd_slice_equal(fields[3], pd_slice_string("password")), fields[4],
			   pd_slice(fields[5].data + strlen("tenant="), fields[5].size - strlen("tenant=")));
	}
	return 0;
}

static int list_from_directory(const char *data, struct pd_os *os, struct pd_output *output, bool json,
			       struct pd_error *err)
{
	struct pd_users users = { 0 };
	struct pd_look look;
	int result = pd_look_open(&look, os, data, err);

	if (result == 0)
		result = pd_users_load(&users, look.engine, err);
	for (size_t i = 0; result == 0 && i < users.count; i++) {
		const struct pd_user *user = users.items[i];

		print_user(output, json, pd_slice_string(user->name), user->enabled, user->has_password,
			   pd_slice_string(pd_role_name(user->role)), pd_slice_string(user->tenant));
	}
	pd_users_done(&users);
	pd_look_close(&look);
	return result;
}

static int run_list(int argc, char **argv)
{
	struct given given = { .data = "./data" };
	struct pd_output output = { .file = stdout };
	struct pd_error err = { 0 };
	struct pd_admin admin;
	struct pd_os *os = NULL;
	int result, status;

	if (!pd_options_take(&list_options, argc, argv, &given, &status))
		return status;
	if (pd_os_real_new(&os, &err) != 0)
		return status_of(&list_options, PD_NO_MEMORY, &err);
	if (given.json)
		pd_output_open(&output, NULL, '[');
	result = pd_admin_open(&admin, os, given.data, &err);
	if (result == 0)
		result = list_from_server(&admin, &output, given.json, &err);
	else if (result == PD_NOT_FOUND || result == PD_TOO_LARGE)
		result = list_from_directory(given.data, os, &output, given.json, &err);
	pd_admin_close(&admin);
	if (given.json) {
		pd_output_close(&output, ']');
		pd_output_end(&output);
	}
	status = status_of(&list_options, result, &err);
	if (!pd_output_finish(&output) && status == PD_EXIT_OK)
		status = PD_EXIT_FAILURE;
	pd_os_free(os);
	return status;
}

/* ---- the subcommands ---- */

static const struct pd_verb verbs[] = {
	{ "add", "make a user", run_add },
	{ "ls", "users and their roles", run_list },
	{ "password", "another password", run_password },
	{ "change", "another role or tenant", run_set },
	{ "disable", "no more logging in", run_disable },
	{ "enable", "logging in again", run_enable },
	{ "drop", "remove a user", run_remove },
};

static const struct pd_verb_alias aliases[] = { { "list", "ls" }, { "remove", "drop" }, { NULL, NULL } };

static int run(int argc, char **argv)
{
	static const struct pd_verbs user = {
		.command = "perdure user",
		.synopsis = "perdure user add|ls|password|change|disable|enable|drop [options] [NAME]",
		.about = "Users of a data directory: who may come in, and what they may do. A running server "
			 "is told at\n"
			 "once, through its admin socket; without one the directory itself is changed.\n"
			 "\n"
			 "Without any user everybody on this machine may do everything, and nobody else gets "
			 "in. With\n"
			 "one, everybody has to log in, wherever they come from.",
		.table = verbs,
		.count = sizeof verbs / sizeof *verbs,
		.aliases = aliases,
		.after = "Examples:\n"
			 "  perdure user add ann --role admin\n"
			 "  perdure user add reports --role read-only --tenant shop --password-file "
			 "secret.txt\n"
			 "  redis-cli -p 7379 --user ann --askpass\n"
			 "\n" EXIT_STATUSES,
	};

	return pd_verbs_run(&user, argc, argv);
}

const struct pd_subcommand pd_subcommand_user = { "user", "who may come in", run };
