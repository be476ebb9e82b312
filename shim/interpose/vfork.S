/* pid_t vfork(void): counts the child in fdtable_borrowers while it borrows this process's memory.
 * The child returns from here first, on the same stack: nothing may be kept there. */
#if defined(__x86_64__)
	.text
	.globl	vfork
	.globl	__vfork
	.type	vfork, @function
vfork:
__vfork:
	.cfi_startproc
	popq	%rdx
	.cfi_adjust_cfa_offset -8
	.cfi_register %rip, %rdx
	lock incl fdtable_borrowers(%rip)
	movl	$58, %eax
	syscall
	pushq	%rdx
	.cfi_adjust_cfa_offset 8
	.cfi_offset %rip, -8
	testq	%rax, %rax
	jz	1f
	lock decl fdtable_borrowers(%rip)
#ifdef EFDSHIM_SANITIZED	/* the child's frames were never left: AddressSanitizer must forget them */
	pushq	%rax
	leaq	8(%rsp), %rdi
	call	__asan_handle_vfork
	popq	%rax
#endif
	testq	%rax, %rax
	js	2f
1:	ret
2:	movq	%rax, %rdi
	jmp	vfork_failed
	.cfi_endproc
	.size	vfork, . - vfork
#elif defined(__aarch64__)
	.text
	.globl	vfork
	.globl	__vfork
	.type	vfork, %function
vfork:
__vfork:
	.cfi_startproc
	adrp	x9, fdtable_borrowers
	add	x9, x9, :lo12:fdtable_borrowers
1:	ldaxr	w10, [x9]
	add	w10, w10, #1
	stlxr	w11, w10, [x9]
	cbnz	w11, 1b
	mov	x0, #0x4111	/* CLONE_VFORK | CLONE_VM | SIGCHLD */
	mov	x1, #0
	mov	x2, #0
	mov	x3, #0
	mov	x4, #0
	mov	x8, #220
	svc	#0
	cbz	x0, 3f
2:	ldaxr	w10, [x9]
	sub	w10, w10, #1
	stlxr	w11, w10, [x9]
	cbnz	w11, 2b
	tbz	x0, #63, 3f
	b	vfork_failed
3:	ret
	.cfi_endproc
	.size	vfork, . - vfork
#endif
	.section .note.GNU-stack, "", %progbits
