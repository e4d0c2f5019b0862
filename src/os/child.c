#include "os/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARGUMENTS_MAX 32
#define NOT_RUN       127

/* The kernel's own words for "command not found", since nobody is left to return an error to. */
static _Noreturn void become(const char *const *argv, int output, pid_t parent)
{
	char *arguments[ARGUMENTS_MAX + 1];
	sigset_t none;
	size_t count = 0;

	/* execv() changes none of them. */
	for (; argv[count] != NULL && count < ARGUMENTS_MAX; count++) {
		union {
			const char *in;
			char *out;
		} cast = { .in = argv[count] };

		arguments[count] = cast.out;
	}
	arguments[count] = NULL;
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	/* Had the parent ended before, nobody would tell this one. */
	if (getppid() != parent ||
	    (output >= 0 && (dup2(output, STDOUT_FILENO) < 0 || dup2(output, STDERR_FILENO) < 0)))
		_exit(NOT_RUN);
	(void)execv("/proc/self/exe", arguments);
	_exit(NOT_RUN);
}

int pd_os_child_start(struct pd_os_child *child, const char *const *argv, const char *output,
		      struct pd_error *err)
{
	int fd = output != NULL ? open(output, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
	pid_t parent = getpid(), pid;

	child->pid = 0;
	if (output != NULL && fd < 0)
		return pd_error_system(err, errno, "cannot open '%s'", output);
	pid = fork();
	if (pid == 0)
		become(argv, fd, parent);
	if (fd >= 0)
		(void)close(fd);
	if (pid < 0)
		return pd_error_system(err, errno, "cannot start another process");
	child->pid = pid;
	return 0;
}

static int status_of(int status)
{
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

bool pd_os_child_ended(struct pd_os_child *child, int *ret_status)
{
	int status;

	if (child->pid == 0 || waitpid((pid_t)child->pid, &status, WNOHANG) != child->pid)
		return false;
	child->pid = 0;
	*ret_status = status_of(status);
	return true;
}

int pd_os_child_wait(struct pd_os_child *child)
{
	int status = 0;
	pid_t ended;

	if (child->pid == 0)
		return NOT_RUN;
	do
		ended = waitpid((pid_t)child->pid, &status, 0);
	while (ended < 0 && errno == EINTR);
	child->pid = 0;
	return ended < 0 ? NOT_RUN : status_of(status);
}

void pd_os_child_kill(struct pd_os_child *child)
{
	if (child->pid == 0)
		return;
	(void)kill((pid_t)child->pid, SIGKILL);
	(void)pd_os_child_wait(child);
}

int pd_os_child_stop(struct pd_os_child *child)
{
	if (child->pid != 0)
		(void)kill((pid_t)child->pid, SIGTERM);
	return pd_os_child_wait(child);
}
