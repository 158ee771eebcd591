"""What POP3 replies say to people, in English and in French (LANG, RFC 6856 section 3).

The English text stands where it is said and is the key of its translation; a text without one stays English. So
it is with what the outside says (LoginRefused and its like): whoever adds a refusal adds its French here.
Keywords, response codes, numbers and tags are never translated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final


@dataclass(frozen=True, slots=True, eq=False)
class Language:
    """A language that replies can be in."""

    tag: str
    """RFC 5646."""
    name: str
    """In the language itself."""
    texts: Mapping[str, str]
    """By their English; %s and %d keep their order."""
    zero_is_singular: bool
    """0 message, or 0 messages."""
    ok: Mapping[str, bytes]
    """The same texts, UTF-8, as lines of a success: ready-made, because every session says some of them."""

    def text(self, english: str) -> str:
        """The text in this language."""
        return self.texts.get(english, english)

    def messages(self, count: int) -> str:
        """So many messages."""
        singular = count == 1 or (count == 0 and self.zero_is_singular)
        return self.text("%d message" if singular else "%d messages") % count


def language_for(language_range: str) -> Language | None:
    """The language of a basic language range, by lookup (RFC 4647 section 3.4): `fr-CA` finds French."""
    subtags = language_range.lower().split("-")
    while subtags:
        tag = "-".join(subtags)
        for language in LANGUAGES:
            if tag == language.tag:
                return language
        subtags.pop()
    return None


_FRENCH: Final = {
    # Successes.
    "%d message": "%d message",
    "%d messages": "%d messages",
    "%d octets": "%d octets",
    "%s (%d octets)": "%s (%d octets)",
    "%s signing off": "%s vous dit au revoir",
    "%s signing off (%s left)": "%s vous dit au revoir (il reste %s)",
    "UTF-8 mode is on": "le mode UTF-8 est actif",
    "begin TLS": "commencez TLS",
    "capabilities follow": "voici les possibilités",
    "language changed": "langue changée",
    "languages follow": "voici les langues",
    "maildrop has %s (%d octets)": "la boîte contient %s (%d octets)",
    "mechanisms follow": "voici les mécanismes",
    "message %d deleted": "message %d supprimé",
    "send PASS": "envoyez PASS",
    "top of message follows": "voici le début du message",
    "unique-id listing follows": "voici les identifiants uniques",
    # Usage.
    "usage: %s": "syntaxe : %s",
    "login": "identifiant",
    "password": "mot-de-passe",
    "message": "message",
    "[message]": "[message]",
    "message lines": "message lignes",
    "mechanism [response]": "mécanisme [réponse]",
    "[language]": "[langue]",
    # Refusals.
    "TLS is active already": "TLS est déjà actif",
    "USER first": "USER d'abord",
    "already logged in": "vous êtes déjà identifié",
    "authentication cancelled": "authentification annulée",
    "line too long": "ligne trop longue",
    "log in first": "identifiez-vous d'abord",
    "message %d is deleted": "le message %d est supprimé",
    "no login without encryption: choose SSL/TLS or STARTTLS in your mail program": (
        "pas d'identification sans chiffrement : choisissez SSL/TLS ou STARTTLS dans votre messagerie"
    ),
    "no such language": "langue inconnue",
    "no such mechanism": "mécanisme inconnu",
    "no such message, %s in maildrop": "message inexistant, la boîte contient %s",
    "some deleted messages not removed": "certains messages supprimés n'ont pas pu être effacés",
    "the login is not valid UTF-8": "l'identifiant n'est pas de l'UTF-8 valide",
    "the password is not valid UTF-8": "le mot de passe n'est pas de l'UTF-8 valide",
    "too many bad commands, good bye": "trop de commandes erronées, au revoir",
    "unknown command": "commande inconnue",
    # Refusals of sasl.py.
    "a login may only act for itself": "un identifiant ne peut agir que pour lui-même",
    "login or password too long": "identifiant ou mot de passe trop long",
    "the login is empty": "l'identifiant est vide",
    "the password is empty": "le mot de passe est vide",
    "the response is not base64": "la réponse n'est pas du base64",
    "the response is not that of LOGIN": "la réponse n'est pas celle de LOGIN",
    "the response is not that of PLAIN": "la réponse n'est pas celle de PLAIN",
    # What the outside says.
    "TLS is not available now, try again later": "TLS est indisponible, réessayez plus tard",
    "another session has this mailbox": "une autre session occupe cette boîte",
    "cannot look you up now, try again later": "impossible de vous identifier, réessayez plus tard",
    "cannot open your mailbox now, try again later": "impossible d'ouvrir votre boîte, réessayez plus tard",
    "cannot read this message now": "impossible de lire ce message pour le moment",
    "internal error, try again later": "erreur interne, réessayez plus tard",
    "server is going down, try again later": "le serveur s'arrête, réessayez plus tard",
    "this domain is not in service now": "ce domaine est hors service pour le moment",
    "this message has been removed meanwhile": "ce message a été effacé entre-temps",
    "this domain takes passwords under TLS only": "ce domaine n'accepte les mots de passe que sous TLS",
    "too many failed logins, try again later": "trop d'identifications manquées, réessayez plus tard",
    "too many logins at the moment, try again later": "trop d'identifications en cours, réessayez plus tard",
    "wrong login or password": "identifiant ou mot de passe erroné",
    "you have logged in just now, try again later": "vous venez de vous identifier, réessayez plus tard",
}


def _language(tag: str, name: str, texts: Mapping[str, str], *, zero_is_singular: bool) -> Language:
    ok = {english: f"+OK {text}\r\n".encode() for english, text in texts.items()}
    return Language(tag, name, texts, zero_is_singular, ok)


ENGLISH: Final = _language("en", "English", {text: text for text in _FRENCH}, zero_is_singular=False)
FRENCH: Final = _language("fr", "Français", _FRENCH, zero_is_singular=True)
DEFAULT: Final = replace(ENGLISH, tag="i-default", name="Default language")
"""What is spoken until somebody asks for another, under the name of RFC 2277 section 4.5."""
LANGUAGES: Final = (ENGLISH, FRENCH, DEFAULT)
"""In the order in which they are listed."""
