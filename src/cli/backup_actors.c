/* `perdure backup restore --actor`, `--all`, `--tenant`, `--match`: some actors of a backup, into a server that runs, or into files. All of the
 * backup is restored on trial first, so that its state is compared with what was backed up; then each actor is taken out of it as an export,
 * whose hash is compared again by the server that takes it. */
#include <stdio.h>

#include "base/memory.h"
#include "cli/actor_bulk.h"
#include "cli/admin.h"
#include "cli/backup_private.h"
#include "server/server.h"

bool pd_backup_wants_actors(const struct pd_backup_given *given)
{
	return given->actor != NULL || pd_bulk_is_asked(&given->select);
}

/* NULL: nothing is wrong. */
static const char *contradiction(const struct pd_backup_given *given)
{
	bool several = pd_bulk_is_asked(&given->select);

	if (!pd_backup_wants_actors(given))
		return given->into_server != NULL || given->directory != NULL || given->as != NULL ||
				       given->replace
			       ? "which actors? Say --actor, --all, --tenant or --match"
			       : NULL;
	if (given->data != NULL)
		return "a directory is made of everything: for some actors say --into-server or --directory "
		       "instead of --data";
	if (given->actor != NULL && several)
		return "one or several? Say --actor, or --all, --tenant, --match";
	if (given->select.all && given->select.match != NULL)
		return "all, or those that match? Say --all or --match";
	if ((given->into_server != NULL) == (given->directory != NULL))
		return "where to? Say --into-server DIR, or --directory DIR";
	if ((given->as != NULL || given->replace) && given->into_server == NULL)
		return "--as and --replace are for --into-server";
	if (given->as != NULL && several)
		return "--as is for one actor, with --actor";
	if (given->replace && several && !given->select.yes && !given->dry_run)
		return "--replace puts several in the place of those that are there: say --yes to do it";
	return NULL;
}

static int open_target(const struct pd_backup_work *work, struct pd_admin *admin)
{
	const char *hello[] = { "HELLO", "3", NULL };
	struct pd_slice reply;
	int status = pd_admin_begin(admin, work->options, work->given.into_server, hello, &reply);

	admin->link.patience_s = 0; /* in the end all of an actor is read again */
	return status;
}

/* What can be seen before anything is fetched: that the server is there, and that one actor has a place in it. */
static int check_target(const struct pd_backup_work *work)
{
	const struct pd_backup_given *given = &work->given;
	const char *name = given->as != NULL ? given->as : given->actor;
	const char *words[] = { "PD.ACTOR", "INFO", name, NULL };
	struct pd_admin admin;
	struct pd_slice reply;
	int status = open_target(work, &admin);

	if (status == PD_EXIT_OK && name != NULL && !given->replace &&
	    pd_admin_ask(&admin, words, &reply, NULL) == 0) {
		(void)fprintf(
			stderr,
			"%s: there is an actor '%s' already: say --replace, or another name with --as\n",
			work->options->command, name);
		status = PD_EXIT_FAILURE;
	}
	pd_admin_end(&admin);
	return status;
}

bool pd_backup_check_actors(const struct pd_backup_work *work, int *ret_status)
{
	const char *wrong = contradiction(&work->given);

	*ret_status = PD_EXIT_OK;
	if (wrong != NULL)
		*ret_status = pd_options_wrong(work->options, "%s", wrong);
	else if (work->given.into_server != NULL && !work->given.dry_run)
		*ret_status = check_target(work);
	return *ret_status == PD_EXIT_OK;
}

int pd_backup_take_actors(const struct pd_backup_work *work, const char *data)
{
	struct pd_bulk bulk = { .data = data };

	return pd_backup_bulk_run(work, &bulk);
}

int pd_backup_bulk_run(const struct pd_backup_work *work, struct pd_bulk *bulk)
{
	const struct pd_backup_given *given = &work->given;
	struct pd_admin admin = { 0 };
	struct pd_error err = { 0 };
	int status = PD_EXIT_OK;

	bulk->options = work->options;
	bulk->given = &given->select;
	bulk->doing = "taking out";
	bulk->done = "restored";
	bulk->json = given->json;
	bulk->reads = true;
	bulk->most = 1;
	bulk->only = given->actor;
	bulk->directory = given->directory;
	bulk->as = given->as;
	bulk->replaces = given->replace;
	bulk->carry_out = pd_bulk_export;
	if (given->directory != NULL && !given->select.dry_run &&
	    pd_bulk_make_directory(given->directory, &err) != 0) {
		(void)fprintf(stderr, "%s: %s\n", work->options->command, err.text);
		return PD_EXIT_FAILURE;
	}
	if (given->into_server != NULL) {
		bulk->target = &admin;
		bulk->carry_out = pd_bulk_carry_over;
		status = open_target(work, &admin);
	}
	if (status == PD_EXIT_OK)
		status = pd_bulk_run(bulk);
	if (given->into_server != NULL)
		pd_admin_end(&admin);
	return status;
}
