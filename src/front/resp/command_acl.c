/* ACL …: users, by Redis's names for it. Roles stand where Redis has lists of commands: see docs/security.md. */
#include <stdio.h>
#include <string.h>

#include "crypto/digest.h"
#include "front/resp/front_private.h"
#include "os/os.h"
#include "security/login.h"
#include "security/user.h"

static struct pd_users *users_of(const struct pd_resp_call *call)
{
	return call->client->front->options.users;
}

static void answer_whoami(struct pd_resp_call *call)
{
	pd_resp_write_bulk_string(call->reply, pd_resp_client_user_name(call->client));
}

/* ---- looking ---- */

static void answer_users(struct pd_resp_call *call)
{
	const struct pd_users *users = users_of(call);

	pd_resp_write_array(call->reply, users->count);
	for (size_t i = 0; i < users->count; i++)
		pd_resp_write_bulk_string(call->reply, users->items[i]->name);
}

static void answer_list(struct pd_resp_call *call)
{
	const struct pd_users *users = users_of(call);
	char line[2 * PD_USER_NAME_MAX + PD_NAME_SIZE_MAX + 64];

	pd_resp_write_array(call->reply, users->count);
	for (size_t i = 0; i < users->count; i++) {
		const struct pd_user *user = users->items[i];

		(void)snprintf(line, sizeof line, "user %s %s %s %s tenant=%s", user->name,
			       user->enabled ? "on" : "off", user->has_password ? "password" : "nopassword",
			       pd_role_name(user->role), user->tenant);
		pd_resp_write_bulk_string(call->reply, line);
	}
}

static void answer_getuser(struct pd_resp_call *call)
{
	static const char *const commands[] = { "", "+@all -@write -@admin -@dangerous",
						"+@all -@admin -@dangerous", "+@all" };
	const struct pd_user *user = pd_users_find(users_of(call), call->words[2]);
	struct pd_resp_writer *reply = call->reply;

	if (user == NULL) {
		pd_resp_write_null(reply);
		return;
	}
	pd_resp_write_map(reply, 7);
	pd_resp_write_bulk_string(reply, "flags");
	pd_resp_write_array(reply, 1);
	pd_resp_write_bulk_string(reply, user->enabled ? "on" : "off");
	pd_resp_write_bulk_string(reply, "passwords");
	/* How many there are, never what they are. */
	pd_resp_write_array(reply, user->has_password);
	if (user->has_password)
		pd_resp_write_bulk_string(reply, "(argon2id)");
	pd_resp_write_bulk_string(reply, "commands");
	pd_resp_write_bulk_string(reply, commands[user->role]);
	pd_resp_write_bulk_string(reply, "keys");
	pd_resp_write_bulk_string(reply, "~*");
	pd_resp_write_bulk_string(reply, "channels");
	pd_resp_write_bulk_string(reply, "&*");
	pd_resp_write_bulk_string(reply, "role");
	pd_resp_write_bulk_string(reply, pd_role_name(user->role));
	pd_resp_write_bulk_string(reply, "tenant");
	pd_resp_write_bulk_string(reply, user->tenant);
}

/* ---- changing ---- */

struct change {
	struct pd_user user;
	struct pd_slice password; /* size 0: none is given */
	bool keeps_tenant;        /* none was named */
};

static bool take_tenant(struct change *change, struct pd_slice name, struct pd_error *err)
{
	bool good = name.size > 0 && name.size <= PD_NAME_SIZE_MAX;

	for (size_t i = 0; good && i < name.size; i++)
		good = name.data[i] > ' ' && strchr("{}/", name.data[i]) == NULL;
	if (!good) {
		(void)pd_error_set(err, PD_INVALID,
				   "a tenant's name has 1 to %u bytes, none of them a space, {, } or /",
				   PD_NAME_SIZE_MAX);
		return false;
	}
	memcpy(change->user.tenant, name.data, name.size);
	change->user.tenant[name.size] = '\0';
	return true;
}

static bool take_rule(struct change *change, struct pd_slice rule, struct pd_error *err)
{
	static const char tenant[] = "tenant=";

	if (pd_slice_equal_nocase(rule, "on") || pd_slice_equal_nocase(rule, "off")) {
		change->user.enabled = rule.size == 2;
		return true;
	}
	if (pd_role_parse(rule, &change->user.role))
		return true;
	if (pd_slice_equal_nocase(rule, "resetpass")) {
		change->user.has_password = false;
		change->password = pd_slice(NULL, 0);
		return true;
	}
	if (rule.size > 0 && rule.data[0] == '>') {
		change->password = pd_slice(rule.data + 1, rule.size - 1);
		return pd_user_check_password(change->password, err) == 0;
	}
	if (pd_slice_starts_with(rule, pd_slice_string(tenant)))
		return take_tenant(
			change, pd_slice(rule.data + sizeof tenant - 1, rule.size - sizeof tenant + 1), err);
	/* It may be a password with its ">" forgotten: it is not said again. */
	(void)pd_error_set(
		err, PD_INVALID,
		"there are the rules on, off, >password, resetpass, read-only, read-write, admin and "
		"tenant=NAME; roles stand for lists of commands");
	return false;
}

/* What the words make of the user. false: the error is written. */
static bool understand(struct pd_resp_call *call, struct change *change)
{
	const struct pd_user *known = pd_users_find(users_of(call), call->words[2]);
	struct pd_slice name = call->words[2];
	struct pd_error err;

	*change = (struct change){ .user = { .role = PD_ROLE_READ_ONLY, .tenant = "default" } };
	if (pd_user_check_name(name, &err) != 0) {
		pd_resp_write_errorf(call->reply, "ERR %s", err.text);
		return false;
	}
	if (known != NULL)
		change->user = *known;
	else
		memcpy(change->user.name, name.data, name.size);
	for (size_t i = 3; i < call->count; i++)
		if (!take_rule(change, call->words[i], &err)) {
			pd_resp_write_errorf(call->reply, "ERR Error in ACL SETUSER modifier: %s", err.text);
			return false;
		}
	if (change->password.size > 0)
		change->user.has_password = true;
	if (pd_users_check_change(users_of(call), &change->user, NULL, &err) == 0)
		return true;
	pd_resp_write_errorf(call->reply, "ERR %s", err.text);
	return false;
}

/* The verifier of the password that was given. false: not yet, or the error is written. */
static bool take_verifier(struct pd_resp_call *call, struct change *change)
{
	struct pd_resp_client *client = call->client;
	struct pd_error err;
	bool made;

	if (client->login == NULL &&
	    pd_logins_make(client->front->options.logins, change->password, &client->login, &err) != 0) {
		pd_resp_write_engine_error(call->reply, err.code, &err);
		return false;
	}
	if (!pd_resp_login_ended(call))
		return false;
	made = pd_login_state(client->login) == PD_LOGIN_ACCEPTED;
	if (made)
		change->user.verifier = *pd_login_verifier(client->login);
	else
		pd_resp_write_error(call->reply, "OOM out of memory or threads for a password; try again");
	pd_login_free(client->login);
	client->login = NULL;
	return made;
}

static void write_outcome(struct pd_resp_call *call, int result, const struct pd_receipt *receipt,
			  const struct pd_error *err)
{
	if (result != 0) {
		pd_resp_write_engine_error(call->reply, result, err);
		return;
	}
	call->wait_storage = receipt->wait;
	call->wait = &call->wait_storage;
}

static void answer_setuser(struct pd_resp_call *call)
{
	struct pd_resp_client *client = call->client;
	struct pd_session *session = pd_resp_client_session(client);
	const struct pd_user *known;
	struct pd_receipt receipt = { 0 };
	struct pd_error err = { 0 };
	struct change change;
	bool was_open;
	int result;

	if (session == NULL) {
		pd_resp_write_error(call->reply, "OOM out of memory for a session");
		return;
	}
	if (!understand(call, &change) || (change.password.size > 0 && !take_verifier(call, &change)))
		return;
	known = pd_users_find(users_of(call), call->words[2]);
	was_open = users_of(call)->count == 0;
	result = pd_users_put(users_of(call), client->front->engine, session, &change.user, &receipt, &err);
	pd_crypto_wipe(&change, sizeof change);
	write_outcome(call, result, &receipt, &err);
	if (result != 0)
		return;
	if (was_open)
		pd_resp_front_close_strangers(client->front);
	/* Whoever is logged in as this user comes again, as what the user is now. */
	if (known != NULL) {
		pd_resp_front_close_user(client->front, known, client);
		if (client->user == known)
			client->closing = true;
	}
	pd_resp_write_status(call->reply, "OK");
}

/* Would what is left be a server that somebody can administer? All of them go, or none. */
static bool check_removal(struct pd_resp_call *call)
{
	const struct pd_resp_front *front = call->client->front;
	const struct pd_users *users = users_of(call);
	size_t left = 0, admins = 0;

	for (size_t i = 0; i < users->count; i++) {
		const struct pd_user *user = users->items[i];
		bool goes = false;

		for (size_t w = 2; w < call->count; w++)
			goes = goes || pd_slice_equal(call->words[w], pd_slice_string(user->name));
		left += !goes;
		admins += !goes && user->role == PD_ROLE_ADMIN && user->enabled && user->has_password;
	}
	if (left > 0 && admins == 0)
		pd_resp_write_error(call->reply,
				    "ERR that would leave no admin who could log in; make another one first");
	else if (left == 0 && users->count > 0 && front->options.guarded)
		pd_resp_write_error(
			call->reply,
			"ERR that would leave no user, and this server is reached from other machines");
	else
		return true;
	return false;
}

static void answer_deluser(struct pd_resp_call *call)
{
	struct pd_resp_client *client = call->client;
	struct pd_session *session = pd_resp_client_session(client);
	struct pd_error err = { 0 };
	int64_t gone = 0;

	if (session == NULL) {
		pd_resp_write_error(call->reply, "OOM out of memory for a session");
		return;
	}
	if (!check_removal(call))
		return;
	for (size_t i = 2; i < call->count; i++) {
		const struct pd_user *user = pd_users_find(users_of(call), call->words[i]);
		struct pd_receipt receipt = { 0 };
		int result;

		if (user == NULL)
			continue;
		pd_resp_front_close_user(client->front, user, client);
		if (client->user == user) {
			pd_resp_client_become(client, NULL);
			client->closing = true;
			session = pd_resp_client_session(client);
		}
		result = session != NULL ? pd_users_remove(users_of(call), client->front->engine, session,
							   call->words[i], &receipt, &err)
					 : pd_error_set(&err, PD_NO_MEMORY, "out of memory for a session");
		write_outcome(call, result, &receipt, &err);
		if (result != 0)
			return;
		gone++;
	}
	pd_resp_write_integer(call->reply, gone);
}

/* ---- the rest ---- */

static void answer_genpass(struct pd_resp_call *call)
{
	uint8_t bytes[32];
	char text[2 * sizeof bytes + 1];

	pd_os_random(call->client->front->os, bytes, sizeof bytes);
	for (size_t i = 0; i < sizeof bytes; i++)
		(void)snprintf(text + 2 * i, 3, "%02x", bytes[i]);
	pd_resp_write_bulk_string(call->reply, text);
	pd_crypto_wipe(bytes, sizeof bytes);
	pd_crypto_wipe(text, sizeof text);
}

/* The categories that roles are made of. */
static void answer_cat(struct pd_resp_call *call)
{
	static const struct {
		const char *name;
		unsigned flags;
	} categories[] = { { "read", PD_COMMAND_READONLY },         { "write", PD_COMMAND_WRITE },
			   { "admin", PD_COMMAND_ADMIN },           { "fast", PD_COMMAND_FAST },
			   { "connection", PD_COMMAND_CONNECTION }, { "pubsub", PD_COMMAND_PUBSUB } };
	const struct pd_resp_registry *registry = &call->client->front->registry;
	size_t all = sizeof categories / sizeof *categories, wanted = all, count = 0;

	if (call->count > 3) {
		pd_resp_write_error(call->reply, "ERR wrong number of arguments for 'acl|cat' command");
		return;
	}
	if (call->count == 2) {
		pd_resp_write_array(call->reply, all);
		for (size_t i = 0; i < all; i++)
			pd_resp_write_bulk_string(call->reply, categories[i].name);
		return;
	}
	for (size_t i = 0; i < all; i++)
		if (pd_slice_equal_nocase(call->words[2], categories[i].name))
			wanted = i;
	if (wanted == all) {
		pd_resp_write_errorf(call->reply, "ERR Unknown category '%.*s'",
				     call->words[2].size < 64 ? (int)call->words[2].size : 64,
				     (const char *)call->words[2].data);
		return;
	}
	for (size_t i = 0; i < registry->count; i++)
		count += (registry->entries[i].command.flags & categories[wanted].flags) != 0;
	pd_resp_write_array(call->reply, count);
	for (size_t i = 0; i < registry->count; i++)
		if ((registry->entries[i].command.flags & categories[wanted].flags) != 0)
			pd_resp_write_bulk_string(call->reply, registry->entries[i].name.text);
}

static void answer_help(struct pd_resp_call *call)
{
	static const char *const lines[] = {
		"CAT [<category>]",
		"    List all commands that belong to <category>, or all command categories when no category "
		"is "
		"specified.",
		"DELUSER <username> [<username> ...]",
		"    Delete users, and close their connections.",
		"GENPASS",
		"    Generate a secure 256-bit user password.",
		"GETUSER <username>",
		"    Get the user's details.",
		"LIST",
		"    Show users' details.",
		"SETUSER <username> <rule> [<rule> ...]",
		"    Create or change a user: on, off, >password, resetpass, read-only, read-write, admin, "
		"tenant=NAME.",
		"USERS",
		"    List all the registered usernames.",
		"WHOAMI",
		"    Return the current connection username.",
	};

	pd_resp_write_help(call->reply, "ACL", lines, sizeof lines / sizeof *lines);
}

#define ROW(name, arity, flags, summary, answer)                                                            \
	{                                                                                                   \
		{ "acl|" name, arity, (flags) | PD_COMMAND_CONNECTION, 0, 0, 0, "server", "6.0.0", summary, \
		  "O(N)",      NULL },                                                                      \
			answer, true                                                                        \
	}
#define ADMIN (PD_COMMAND_ADMIN | PD_COMMAND_NO_MULTI)

static const struct pd_resp_command commands[] = {
	ROW("cat", -2, PD_COMMAND_LOADING, "Lists categories of commands, or the commands in one.",
	    answer_cat),
	ROW("deluser", -3, ADMIN, "Deletes users, and closes their connections.", answer_deluser),
	ROW("genpass", 2, PD_COMMAND_LOADING, "Generates a password that nobody guesses.", answer_genpass),
	ROW("getuser", 3, ADMIN, "Tells what a user may do.", answer_getuser),
	ROW("help", 2, PD_COMMAND_LOADING, "Returns helpful text about the different subcommands.",
	    answer_help),
	ROW("list", 2, ADMIN, "Lists users with what they may do.", answer_list),
	ROW("setuser", -3, ADMIN | PD_COMMAND_SECRET, "Creates or changes a user.", answer_setuser),
	ROW("users", 2, ADMIN, "Lists the names of users.", answer_users),
	ROW("whoami", 2, PD_COMMAND_LOADING, "Returns the user of the connection.", answer_whoami),
};

const struct pd_resp_commands pd_resp_commands_acl = { commands, sizeof commands / sizeof *commands };
