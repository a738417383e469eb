/** A Python 3 with python3-socketio; with CI it must be there. */
export const python = process.env['PYTHON'] ?? '';

export const hasPython = python !== '';

if (!hasPython && process.env['CI']) throw new Error('CI needs python3-socketio; run npm test');
