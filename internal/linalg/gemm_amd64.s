#include "textflag.h"

// The panels are read once from front to back, the sums stay in registers, and the tile is touched at the end: it is asked for
// at the beginning, so that it is in the cache by then.

// Row i of the tile takes its value of a times the columns of b: Y0 to Y2 of four each.
#define ROW4(i, s0, s1, s2) \
	VBROADCASTSD (i*8)(SI), Y3 \
	VFMADD231PD Y0, Y3, s0     \
	VFMADD231PD Y1, Y3, s1     \
	VFMADD231PD Y2, Y3, s2

#define ADD4(s0, s1, s2) \
	VADDPD  (DI), s0, s0   \
	VADDPD  32(DI), s1, s1 \
	VADDPD  64(DI), s2, s2 \
	VMOVUPD s0, (DI)       \
	VMOVUPD s1, 32(DI)     \
	VMOVUPD s2, 64(DI)     \
	ADDQ    R8, DI

// func gemmAVX2(k int, a, b, c *float64, ldc int)
TEXT ·gemmAVX2(SB), NOSPLIT, $0-40
	MOVQ k+0(FP), CX
	MOVQ a+8(FP), SI
	MOVQ b+16(FP), DX
	MOVQ c+24(FP), DI
	MOVQ ldc+32(FP), R8
	SHLQ $3, R8
	LEAQ (DI)(R8*1), R9
	LEAQ (R9)(R8*1), R10
	LEAQ (R10)(R8*1), R11
	PREFETCHT0 (DI)
	PREFETCHT0 64(DI)
	PREFETCHT0 (R9)
	PREFETCHT0 64(R9)
	PREFETCHT0 (R10)
	PREFETCHT0 64(R10)
	PREFETCHT0 (R11)
	PREFETCHT0 64(R11)

	VXORPD Y4, Y4, Y4
	VXORPD Y5, Y5, Y5
	VXORPD Y6, Y6, Y6
	VXORPD Y7, Y7, Y7
	VXORPD Y8, Y8, Y8
	VXORPD Y9, Y9, Y9
	VXORPD Y10, Y10, Y10
	VXORPD Y11, Y11, Y11
	VXORPD Y12, Y12, Y12
	VXORPD Y13, Y13, Y13
	VXORPD Y14, Y14, Y14
	VXORPD Y15, Y15, Y15
	TESTQ  CX, CX
	JZ     add4

loop4:
	VMOVUPD (DX), Y0
	VMOVUPD 32(DX), Y1
	VMOVUPD 64(DX), Y2
	ROW4(0, Y4, Y5, Y6)
	ROW4(1, Y7, Y8, Y9)
	ROW4(2, Y10, Y11, Y12)
	ROW4(3, Y13, Y14, Y15)
	ADDQ $32, SI
	ADDQ $96, DX
	DECQ CX
	JNZ  loop4

add4:
	ADD4(Y4, Y5, Y6)
	ADD4(Y7, Y8, Y9)
	ADD4(Y10, Y11, Y12)
	ADD4(Y13, Y14, Y15)
	VZEROUPPER
	RET

#define ROW8(i, s0, s1, s2) \
	VBROADCASTSD (i*8)(SI), Z3 \
	VFMADD231PD Z0, Z3, s0     \
	VFMADD231PD Z1, Z3, s1     \
	VFMADD231PD Z2, Z3, s2

#define ADD8(s0, s1, s2) \
	VADDPD  (DI), s0, s0    \
	VADDPD  64(DI), s1, s1  \
	VADDPD  128(DI), s2, s2 \
	VMOVUPD s0, (DI)        \
	VMOVUPD s1, 64(DI)      \
	VMOVUPD s2, 128(DI)     \
	ADDQ    R8, DI

#define ASK8 \
	PREFETCHT0 (R9)    \
	PREFETCHT0 64(R9)  \
	PREFETCHT0 128(R9) \
	ADDQ R8, R9

#define ZERO3(s0, s1, s2) \
	VPXORQ s0, s0, s0 \
	VPXORQ s1, s1, s1 \
	VPXORQ s2, s2, s2

// func gemmAVX512(k int, a, b, c *float64, ldc int)
TEXT ·gemmAVX512(SB), NOSPLIT, $0-40
	MOVQ k+0(FP), CX
	MOVQ a+8(FP), SI
	MOVQ b+16(FP), DX
	MOVQ c+24(FP), DI
	MOVQ ldc+32(FP), R8
	SHLQ $3, R8
	MOVQ DI, R9
	ASK8
	ASK8
	ASK8
	ASK8
	ASK8
	ASK8
	ASK8
	ASK8
	ZERO3(Z8, Z9, Z10)
	ZERO3(Z11, Z12, Z13)
	ZERO3(Z14, Z15, Z16)
	ZERO3(Z17, Z18, Z19)
	ZERO3(Z20, Z21, Z22)
	ZERO3(Z23, Z24, Z25)
	ZERO3(Z26, Z27, Z28)
	ZERO3(Z29, Z30, Z31)
	TESTQ CX, CX
	JZ    add8

loop8:
	VMOVUPD (DX), Z0
	VMOVUPD 64(DX), Z1
	VMOVUPD 128(DX), Z2
	ROW8(0, Z8, Z9, Z10)
	ROW8(1, Z11, Z12, Z13)
	ROW8(2, Z14, Z15, Z16)
	ROW8(3, Z17, Z18, Z19)
	ROW8(4, Z20, Z21, Z22)
	ROW8(5, Z23, Z24, Z25)
	ROW8(6, Z26, Z27, Z28)
	ROW8(7, Z29, Z30, Z31)
	ADDQ $64, SI
	ADDQ $192, DX
	DECQ CX
	JNZ  loop8

add8:
	ADD8(Z8, Z9, Z10)
	ADD8(Z11, Z12, Z13)
	ADD8(Z14, Z15, Z16)
	ADD8(Z17, Z18, Z19)
	ADD8(Z20, Z21, Z22)
	ADD8(Z23, Z24, Z25)
	ADD8(Z26, Z27, Z28)
	ADD8(Z29, Z30, Z31)
	VZEROUPPER
	RET
