export { DemoFault, startDemo } from './demo.js';
