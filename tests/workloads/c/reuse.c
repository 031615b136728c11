/* Two processes that have the same pid one after the other, which it prints. */
#include "known.h"
#include <linux/sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

FRAME uint64_t first(uint64_t ns)
{
	return burn(ns);
}

FRAME uint64_t second(uint64_t ns)
{
	return burn(ns);
}

static pid_t fork_as(pid_t pid)
{
	struct clone_args args = {
		.exit_signal = 17,
		.set_tid = (uintptr_t)&pid,
		.set_tid_size = 1,
	};
	return (pid_t)syscall(SYS_clone3, &args, sizeof(args));
}

int main(int argc, char **argv)
{
	uint64_t ns = milliseconds(argc, argv, 1) * MS;
	pid_t pid = fork();
	if (pid == 0) {
		prctl(PR_SET_NAME, "first owner");
		first(ns);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	pid_t again = fork_as(pid);
	if (again == 0) {
		prctl(PR_SET_NAME, "second owner");
		second(ns);
		_exit(0);
	}
	if (again != pid) {
		perror("clone3");
		return 1;
	}
	waitpid(pid, NULL, 0);
	printf("pid %d\n", pid);
	return 0;
}
