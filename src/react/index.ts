export {
  PresenceProvider,
  usePresence,
  usePresenceClient,
  usePresenceStatus,
  useSelf,
  useTyping,
  useUserPresence,
  type PresenceProviderProps,
  type PresenceStatus,
  type Self,
  type TypingUser,
} from './hooks.js';
