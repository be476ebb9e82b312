#include "sys/cancel.h"

#include <linux/futex.h>
#include <pthread.h>

#include "sys/raw.h"

#if defined(__x86_64__) && !defined(__GLIBC__)
/* musl's handler lets the thread go on in pthread_exit with the stack pointer where it was;
 * handlers that use aligned memory then need it as it is where a function begins: 8 bytes off. So
 * it is in here from when the thread can be cancelled until it cannot, but for single instructions.
 */
__asm__(".text\n"
	".hidden cancel_wait\n"
	".type cancel_wait, @function\n"
	"cancel_wait:\n" /* edi: the system call, rsi: word, rdx: value, rcx: timeout */
	"	pushq	%rbx\n"
	"	pushq	%rbp\n"
	"	pushq	%r12\n"
	"	pushq	%r13\n"
	"	subq	$8, %rsp\n"
	"	movl	%edi, %ebx\n"
	"	movq	%rsi, %rbp\n"
	"	movq	%rdx, %r12\n"
	"	movq	%rcx, %r13\n"
	"	movl	$1, %edi\n" /* PTHREAD_CANCEL_ASYNCHRONOUS */
	"	movq	%rsp, %rsi\n"
	"	call	pthread_setcanceltype@PLT\n"
	"	subq	$8, %rsp\n"
	"	movl	%ebx, %eax\n"
	"	movq	%rbp, %rdi\n"
	"	xorl	%esi, %esi\n" /* FUTEX_WAIT */
	"	movq	%r12, %rdx\n"
	"	movq	%r13, %r10\n"
	"	syscall\n"
	"	movq	%rax, %rbx\n"
	"	movl	8(%rsp), %edi\n"
	"	leaq	8(%rsp), %rsi\n"
	"	addq	$8, %rsp\n"
	"	call	pthread_setcanceltype@PLT\n"
	"	movq	%rbx, %rax\n"
	"	addq	$8, %rsp\n"
	"	popq	%r13\n"
	"	popq	%r12\n"
	"	popq	%rbp\n"
	"	popq	%rbx\n"
	"	ret\n"
	".size cancel_wait, . - cancel_wait\n");

long cancel_wait(
	long nr, const _Atomic uint32_t *word, unsigned long value, const struct timespec *timeout);
#else
static long cancel_wait(
	long nr, const _Atomic uint32_t *word, unsigned long value, const struct timespec *timeout)
{
	int type;
	long ret;

	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &type);
	ret = raw_syscall6(nr, (long)word, FUTEX_WAIT, (long)value, (long)timeout, 0, 0);
	pthread_setcanceltype(type, &type);
	return ret;
}
#endif

long cancel_futex_wait(const _Atomic uint32_t *word, uint32_t value, const struct timespec *timeout)
{
	return cancel_wait(SYS_futex, word, value, timeout);
}
